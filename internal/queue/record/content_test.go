package record

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// An unfinished last line ends with the content, and the end stays the end
// however often it is asked for.
func TestUnfinishedLastLine(t *testing.T) {
	const text = "N\x02a:N\x00L\x04half"
	c := Content{File: strings.NewReader(text + "X\x00E\x00"), Length: int64(len(text))}
	r := c.Lines()
	var got []string
	for range 4 {
		line, complete, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if string(line) == "half" == complete {
			t.Errorf("%q: complete is %v", line, complete)
		}
		got = append(got, string(line))
	}
	if strings.Join(got, "|") != "a:||half|" {
		t.Errorf("lines %q", got)
	}
	for range 3 {
		if line, _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %q, %v", line, err)
		}
	}
}
