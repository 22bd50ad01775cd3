package command

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// A bar is shown for long work only, not too often, and leaves nothing behind.
func TestProgress(t *testing.T) {
	var b bytes.Buffer
	clock := time.Unix(1000, 0)
	p := &progress{to: &b, name: "postsuper", now: func() time.Time { return clock }}
	p.next = clock.Add(progressAfter)
	for i := range 200 {
		p.show(i+1, 200)
		clock = clock.Add(10 * time.Millisecond)
	}
	p.end()
	shown := strings.Split(b.String(), "\r")
	if len(shown) != 17 || shown[1] != "postsuper: ["+strings.Repeat("#", 10)+strings.Repeat(".", 30)+"] 51 of 200 " || shown[16] != "\x1b[K" {
		t.Errorf("%d: %q", len(shown), shown)
	}
	b.Reset()
	p.show(7, 0)
	if b.String() != "\rpostsuper: 7 messages looked at" {
		t.Errorf("%q", b.String())
	}
	b.Reset()
	p.next = clock.Add(progressAfter)
	p.shown = false
	p.show(1, 1)
	p.end()
	if b.Len() > 0 {
		t.Errorf("short work shows %q", b.String())
	}
}

// Only a terminal gets a bar.
func TestTerminal(t *testing.T) {
	for path, want := range map[string]bool{"/dev/null": false, "/dev/ptmx": true} {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Logf("%s: %v", path, err)
			continue
		}
		if isTerminal(f) != want {
			t.Errorf("%s: %t", path, !want)
		}
		if p := newProgress(f, "x"); (p.to != nil) != want {
			t.Errorf("%s: a bar: %t", path, !want)
		}
		f.Close()
	}
	if newProgress(&bytes.Buffer{}, "x").to != nil {
		t.Error("a bar in a file")
	}
}
