package schedule

import "sync"

// pool runs functions on a fixed number of goroutines, in the order they came.
// add never blocks, so the loop may call it; what waits is bounded by the
// messages and recipients in memory.
type pool struct {
	mu      sync.Mutex
	some    sync.Cond
	waiting []func()
	closed  bool
	workers sync.WaitGroup
}

func newPool(workers int) *pool {
	p := &pool{}
	p.some.L = &p.mu
	for range workers {
		p.workers.Go(p.work)
	}
	return p
}

func (p *pool) add(f func()) {
	p.mu.Lock()
	p.waiting = append(p.waiting, f)
	p.mu.Unlock()
	p.some.Signal()
}

// close lets the workers finish what waits, and waits for them.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.some.Broadcast()
	p.workers.Wait()
}

func (p *pool) work() {
	for {
		p.mu.Lock()
		for len(p.waiting) == 0 && !p.closed {
			p.some.Wait()
		}
		if len(p.waiting) == 0 {
			p.mu.Unlock()
			return
		}
		f := p.waiting[0]
		p.waiting[0] = nil
		p.waiting = p.waiting[1:]
		p.mu.Unlock()
		f()
	}
}
