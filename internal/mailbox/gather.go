package mailbox

import (
	"sync"
	"time"
)

// Gather lets the maildir deliveries of a process sync at the same time: one
// commit of the file system then serves them all, and while there are many of
// them the disk is not asked for the next one sooner than after gatherTime. A
// delivery that is alone does not wait. nil gathers nothing.
type Gather struct {
	mu      sync.Mutex
	current int           // deliveries that have begun and not ended
	waiting int           // of those, the ones that wait for go
	start   chan struct{} // closed to let them go; nil: nobody waits
	timer   *time.Timer   // closes start; nil: not set
	last    time.Time     // when some went
}

// gatherTime is how long a delivery waits for others at the most: about as long
// as a commit takes on a good disk.
const gatherTime = 8 * time.Millisecond

// begin counts a delivery in; it ends with end.
func (g *Gather) begin() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current++
}

func (g *Gather) end() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current--
	if g.waiting > 0 && g.waiting == g.current {
		g.release()
	}
}

// wait returns when it is time to sync: when all that have begun have come so
// far, or the last ones have gone long enough ago.
func (g *Gather) wait() {
	if g == nil {
		return
	}
	g.mu.Lock()
	left := gatherTime - time.Since(g.last)
	if left <= 0 || g.waiting+1 == g.current {
		g.release()
		g.mu.Unlock()
		return
	}
	g.waiting++
	if g.start == nil {
		start := make(chan struct{})
		g.start = start
		g.timer = time.AfterFunc(left, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.start == start {
				g.release()
			}
		})
	}
	start := g.start
	g.mu.Unlock()
	<-start
}

// release lets all go that wait. The caller holds mu.
func (g *Gather) release() {
	g.last = time.Now()
	if g.start == nil {
		return
	}
	g.timer.Stop()
	close(g.start)
	g.start, g.waiting = nil, 0
}
