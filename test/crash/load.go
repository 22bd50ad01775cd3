package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"posthaste/test/inject"
	"posthaste/test/ledger"
)

// load is a number of SMTP clients that send without end.
type load struct {
	addr   string
	ledger *ledger.Ledger
	quit   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
}

const (
	replyLimit = 30 * time.Second
	pause      = 20 * time.Millisecond // of a client between two messages
	// The most messages that a client sends over one connection.
	maxPerConnection = 4
)

func startLoad(addr string, l *ledger.Ledger, sessions int, seed uint64) *load {
	load := &load{addr: addr, ledger: l, quit: make(chan struct{})}
	for n := range sessions {
		random := rand.New(rand.NewPCG(seed, uint64(100+n)))
		load.wg.Go(func() {
			for !load.sleep(pause) {
				load.connection(random)
			}
		})
	}
	return load
}

// stop ends the clients after the message they are at.
func (l *load) stop() {
	l.once.Do(func() { close(l.quit) })
	l.wg.Wait()
}

// sleep reports whether the load is to end.
func (l *load) sleep(d time.Duration) bool {
	select {
	case <-l.quit:
		return true
	case <-time.After(d):
		return false
	}
}

// connection sends some messages over one connection.
func (l *load) connection(random *rand.Rand) {
	var c *inject.Client
	for n := 1 + random.IntN(maxPerConnection); n > 0; n-- {
		if c == nil {
			if c = inject.Open(l.addr, replyLimit); c == nil {
				return
			}
			defer c.Quit()
		}
		sender, size, recipients := choose(random)
		if !c.Send(l.ledger, l.ledger.Send(sender, size, recipients...)) || l.sleep(pause) {
			break
		}
	}
}

// choose makes up a message: a null sender now and then, 0.5 to 60 kB, some
// with several recipients of both kinds.
func choose(random *rand.Rand) (sender string, size int, recipients []string) {
	if random.IntN(20) > 0 {
		sender = fmt.Sprintf("sender%d@injector.example.test", random.IntN(5))
	}
	size = 500 << random.IntN(8) // most are small
	size = min(size+random.IntN(size), 60000)
	count := 1
	if random.IntN(3) == 0 {
		count = 2 + random.IntN(4)
	}
	first := random.IntN(boxes)
	for n := range count {
		if random.IntN(3) == 0 {
			recipients = append(recipients, box((first+n)%boxes)+"@"+boxDomain)
		} else {
			recipients = append(recipients, fmt.Sprintf("user%d@%s", (first+n)%boxes, sinkDomain))
		}
	}
	return sender, size, recipients
}
