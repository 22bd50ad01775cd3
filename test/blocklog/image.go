package blocklog

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
)

// What a disk writes in one piece, in bytes.
const (
	Sector = 512
	Block  = 4096
)

// Replay makes images of one disk as it was after events, one event after the
// other, from an image of the disk as it was when the log began.
type Replay struct {
	l     *Log
	disk  int
	image *os.File
	done  int   // the events before it are in the image, or are none of it
	since []int // writes that the flush seen last does not cover
}

// NewReplay begins with the image of a disk, which it changes.
func (l *Log) NewReplay(disk int, image *os.File) *Replay {
	return &Replay{l: l, disk: disk, image: image}
}

// Advance puts everything into the image that is durable after the first n
// events. n must not be smaller than before.
func (r *Replay) Advance(n int) error {
	r.l.mu.Lock()
	events := r.l.events[:n]
	r.l.mu.Unlock()
	for ; r.done < n; r.done++ {
		e := &events[r.done]
		switch {
		case e.disk != r.disk:
		case !e.flush:
			r.since = append(r.since, r.done)
		default:
			covered := 0
			for ; covered < len(r.since) && r.since[covered] < e.covers; covered++ {
				if err := r.apply(r.image, r.since[covered], 0, nil); err != nil {
					return err
				}
			}
			r.since = r.since[covered:]
		}
	}
	return nil
}

// apply does a write again, or with keep those of its parts of atom bytes for
// which it returns true.
func (r *Replay) apply(to *os.File, n, atom int, keep func() bool) error {
	r.l.mu.Lock()
	e := r.l.events[n]
	r.l.mu.Unlock()
	b := make([]byte, e.size)
	if _, err := r.l.file.ReadAt(b, e.data); err != nil && err != io.EOF {
		return err
	}
	if keep == nil {
		_, err := to.WriteAt(b, e.offset)
		return err
	}
	for at := 0; at < len(b); at += atom {
		if keep() {
			if _, err := to.WriteAt(b[at:min(at+atom, len(b))], e.offset+int64(at)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Pending is how many writes no flush covers yet.
func (r *Replay) Pending() int { return len(r.since) }

// Scatter adds some of the writes to a copy of the image that no flush covers,
// as a disk may that writes in any order, in pieces of atom bytes, and says what
// it has done.
func (r *Replay) Scatter(copied *os.File, atom int, random *rand.Rand) (string, error) {
	count := len(r.since)
	if count == 0 {
		return "nothing was pending", nil
	}
	one := random.IntN(count)
	percent := 1 + random.IntN(99)
	what, pick := "", func(int) bool { return false }
	switch random.IntN(6) {
	case 0:
		what = "none"
	case 1:
		what, pick = "all", func(int) bool { return true }
	case 2:
		what, pick = fmt.Sprintf("all but number %d", one), func(n int) bool { return n != one }
	case 3:
		what, pick = fmt.Sprintf("number %d alone", one), func(n int) bool { return n == one }
	case 4:
		what, pick = fmt.Sprintf("all before number %d", one), func(n int) bool { return n < one }
	case 5:
		what, pick = fmt.Sprintf("%d percent", percent), func(int) bool { return random.IntN(100) < percent }
	}
	torn := random.IntN(2) == 0
	if torn {
		what = fmt.Sprintf("%s, number %d torn at %d", what, one, atom)
	}
	// In order: a disk does not put old bytes in the place of new ones.
	for n, e := range r.since {
		var keep func() bool
		switch {
		case n == one && torn:
			keep = func() bool { return random.IntN(2) == 0 }
		case !pick(n):
			continue
		}
		if err := r.apply(copied, e, atom, keep); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("of %d: %s", count, what), nil
}
