package queue

import (
	"runtime"
	"time"
)

// Pace makes long work leave the processor to others while they need it: it
// then takes a tenth of one. It is for one goroutine.
type Pace struct {
	// Busy tells whether others have work to do now; nil: never.
	Busy func() bool

	steps int
	since time.Time
}

// How work is spread: it rests longRest times as long as it took, every few steps.
const (
	paceSteps = 64
	longRest  = 9
	mostRest  = 100 * time.Millisecond
)

// Step is called for each small piece of the work, and rests at times.
func (p *Pace) Step() {
	if p.steps++; p.steps%paceSteps != 0 || p.Busy == nil {
		return
	}
	runtime.Gosched()
	now := time.Now()
	if took := now.Sub(p.since); !p.since.IsZero() && p.Busy() {
		time.Sleep(min(longRest*took, mostRest))
		now = time.Now()
	}
	p.since = now
}
