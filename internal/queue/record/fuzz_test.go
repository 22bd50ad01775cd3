package record

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"posthaste/internal/mail"
)

// seeds are sound files, and damaged ones that once were of interest.
func seeds(f *testing.F) {
	small, milter := testFile(f, "small.queue"), testFile(f, "milter.queue")
	for _, b := range [][]byte{nil, small, milter, small[:215], small[97:], milter[97:],
		append(small[:197:197], "p\x0f            197"...),
		append(small[:197:197], "N\xff\xff\xff\x7fx"...),
		[]byte("T\x0a1700000000S\x03a@bR\x03c@dM\x00N\x01xX\x00E\x00"),
		[]byte("T\x0a1700000000p\x011S\x03a@bR\x03c@dM\x00N\x01xX\x00E\x00"),
	} {
		f.Add(b)
	}
}

// Files come from a disk that fails, from other programs and, in maildrop,
// from any user: they may be refused, but nothing may panic, run without end
// or call a file sound that it then cannot read.
func FuzzRead(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		file := bytes.NewReader(data)
		all, err := Read(file, 0)
		if err != nil {
			return
		}
		some, err := Read(file, 1)
		if err != nil {
			t.Fatalf("read with a limit: %v", err)
		}
		entries, next := some.Entries, some.Next
		for next != 0 {
			if len(entries) > len(data)*maxBackwardJumps {
				t.Fatal("recipients without end")
			}
			var more []Entry
			if more, next, err = ReadEntries(file, some, next, 1); err != nil {
				t.Fatalf("read on: %v", err)
			}
			entries = append(entries, more...)
		}
		if len(entries) != len(all.Entries) || int64(len(entries)) != all.Unfinished {
			t.Fatalf("%d recipients one by one, %d at once, %d counted", len(entries), len(all.Entries), all.Unfinished)
		}
		readLines(t, all.Content)
	})
}

func readLines(t *testing.T, c Content) {
	lines := c.Lines()
	defer lines.Close()
	for {
		_, _, err := lines.Next()
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, ErrDamaged) {
			t.Fatalf("content: %v", err)
		}
		return
	}
}

func FuzzSubmission(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, trusted := range []bool{false, true} {
			s, err := ReadSubmission(bytes.NewReader(data), trusted)
			if err != nil {
				continue
			}
			if err := s.Recipients(func(mail.Recipient) error { return nil }); err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatalf("recipients: %v", err)
			}
			readLines(t, s.Content)
		}
	})
}

func FuzzDump(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, letters := range []string{"", "ov", "orv", "b", "h", "e", "bd"} {
			if _, err := dumped(t, data, "FILE", letters); err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatalf("-%s: %v", letters, err)
			}
		}
	})
}
