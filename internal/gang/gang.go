// Package gang runs functions on goroutines that stay a moment for the next
// one: a goroutine that has run such a function has a stack of the right size,
// and growing a new one's took 2 % of a process's time. It touches nothing.
package gang

import (
	"sync"
	"time"
)

// stay is how long a goroutine waits for another function.
const stay = time.Second

// Gang starts functions. It is safe for concurrent use.
type Gang struct {
	idle   chan func()
	closed chan struct{}
	close  sync.Once
}

// New makes a Gang without goroutines.
func New() *Gang { return &Gang{idle: make(chan func()), closed: make(chan struct{})} }

// Close lets goroutines go that have nothing to do, now and from now on.
func (g *Gang) Close() { g.close.Do(func() { close(g.closed) }) }

// Go runs f concurrently with its caller, as a go statement does.
func (g *Gang) Go(f func()) {
	select {
	case g.idle <- f:
	default:
		go g.work(f)
	}
}

func (g *Gang) work(f func()) {
	timer := time.NewTimer(stay)
	defer timer.Stop()
	for {
		f()
		timer.Reset(stay)
		select {
		case f = <-g.idle:
		case <-timer.C:
			return
		case <-g.closed:
			return
		}
	}
}
