package command

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// progress shows on a terminal how far long work has come; elsewhere it shows
// nothing.
type progress struct {
	to    io.Writer // nil: nobody looks
	name  string
	done  int
	next  time.Time // nothing is shown before
	shown bool
	now   func() time.Time
}

// Times of a progress bar: short work has none.
const (
	progressAfter = 500 * time.Millisecond
	progressEvery = 100 * time.Millisecond
)

// barWidth is the width of a full bar, in columns.
const barWidth = 40

// newProgress makes a bar on standard error, if that is a terminal.
func newProgress(stderr io.Writer, name string) *progress {
	p := &progress{name: name, now: time.Now}
	if f, ok := stderr.(*os.File); ok && isTerminal(f) {
		p.to = f
	}
	p.next = p.now().Add(progressAfter)
	return p
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// show tells how many of all are done; all is 0 when nobody knows.
func (p *progress) show(done, all int) {
	p.done = done
	if p.to == nil {
		return
	}
	now := p.now()
	if now.Before(p.next) {
		return
	}
	p.next, p.shown = now.Add(progressEvery), true
	if all == 0 {
		fmt.Fprintf(p.to, "\r%s: %d messages looked at", p.name, done)
		return
	}
	full := barWidth * done / all
	fmt.Fprintf(p.to, "\r%s: [%s%s] %d of %d ", p.name, strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done, all)
}

// end wipes the bar out.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.to, "\r\x1b[K")
		p.shown = false
	}
}
