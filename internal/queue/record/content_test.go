package record

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"posthaste/internal/mail"
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

// reads counts the calls of a file; one that comes to its end counts twice, since
// the kernel says so in a call of its own.
type reads struct {
	*bytes.Reader
	calls int
}

func (r *reads) ReadAt(b []byte, at int64) (int, error) {
	n, err := r.Reader.ReadAt(b, at)
	if r.calls++; err != nil && n > 0 {
		r.calls++
	}
	return n, err
}

// memory is a file to write.
type memory struct{ data []byte }

func (m *memory) WriteAt(b []byte, at int64) (int, error) {
	if end := int(at) + len(b); end > len(m.data) {
		m.data = append(m.data, make([]byte, end-len(m.data))...)
	}
	return copy(m.data[at:], b), nil
}

// A message of some kilobytes is claimed with one block, and its content read
// with one call: at thousands of messages a second each call shows.
func TestFewReads(t *testing.T) {
	var m memory
	w := NewWriter(&m)
	w.Envelope(&mail.Envelope{Sender: "a@b.test", Arrival: time.Now(), Created: time.Now()})
	w.Recipient(mail.Recipient{Address: "x@c.test"})
	w.BeginContent()
	for range 60 {
		w.Line([]byte(strings.Repeat("x", 70)))
	}
	w.BeginExtracted()
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	f := &reads{Reader: bytes.NewReader(m.data)}
	info, err := Read(f, 10)
	if err != nil || len(info.Entries) != 1 || f.calls != 2 {
		t.Errorf("%d recipients, %d calls, error %v", len(info.Entries), f.calls, err)
	}
	f.calls = 0
	info.Content.File = f
	lines := info.Content.Lines()
	defer lines.Close()
	n := 0
	for ; ; n++ {
		if _, _, err = lines.Next(); err != nil {
			break
		}
	}
	if n != 60 || err != io.EOF || f.calls != 1 {
		t.Errorf("%d lines, %d calls, error %v", n, f.calls, err)
	}
}
