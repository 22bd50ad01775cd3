package traffic

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"posthaste/test/inject"
	"posthaste/test/ledger"
)

// Load is a number of clients that send without end. The fields are set before
// Start.
type Load struct {
	Addr     string // of the SMTP server
	Ledger   *ledger.Ledger
	Sessions int
	Seed     uint64
	Large    int                       // one of so many messages has up to 2 MB; 0: none has
	Submit   func(ledger.Message) bool // sends a message another way than by SMTP; nil: nobody does

	quit chan struct{}
	once sync.Once
	wg   sync.WaitGroup
}

const (
	// ReplyLimit is how long a client waits for a reply.
	ReplyLimit = 30 * time.Second

	pause       = 20 * time.Millisecond  // of a client between two messages
	submitPause = 300 * time.Millisecond // between two calls of Submit
	// The most messages that a client sends over one connection.
	maxPerConnection = 4
)

// Start starts the clients.
func (l *Load) Start() {
	l.quit = make(chan struct{})
	for n := range l.Sessions {
		random := l.random(100 + n)
		l.wg.Go(func() {
			for !l.sleep(pause) {
				l.connection(random)
			}
		})
	}
	if l.Submit != nil {
		random := l.random(99)
		l.wg.Go(func() {
			for !l.sleep(submitPause) {
				l.Submit(l.message(random))
			}
		})
	}
}

func (l *Load) random(n int) *rand.Rand { return rand.New(rand.NewPCG(l.Seed, uint64(n))) }

// Stop ends the clients after the message they are at.
func (l *Load) Stop() {
	l.once.Do(func() { close(l.quit) })
	l.wg.Wait()
}

// sleep reports whether the load is to end.
func (l *Load) sleep(d time.Duration) bool { return Quit(l.quit).Wait(d) != nil }

// connection sends some messages over one connection.
func (l *Load) connection(random *rand.Rand) {
	var c *inject.Client
	for n := 1 + random.IntN(maxPerConnection); n > 0; n-- {
		if c == nil {
			if c = inject.Open(l.Addr, ReplyLimit); c == nil {
				return
			}
			defer c.Quit()
		}
		if !c.Send(l.Ledger, l.message(random)) || l.sleep(pause) {
			break
		}
	}
}

// message makes up a message: a null sender now and then, 0.5 to 60 kB, some
// with several recipients of both kinds.
func (l *Load) message(random *rand.Rand) ledger.Message {
	sender := ""
	if random.IntN(20) > 0 {
		sender = fmt.Sprintf("sender%d@injector.example.test", random.IntN(5))
	}
	size := 500 << random.IntN(8) // most are small
	size = min(size+random.IntN(size), 60000)
	if l.Large > 0 && random.IntN(l.Large) == 0 {
		size = 60000 << random.IntN(6)
	}
	count := 1
	if random.IntN(3) == 0 {
		count = 2 + random.IntN(4)
	}
	var recipients []string
	first := random.IntN(Boxes)
	for n := range count {
		if random.IntN(3) == 0 {
			recipients = append(recipients, Box(first+n)+"@"+BoxDomain)
		} else {
			recipients = append(recipients, fmt.Sprintf("user%d@%s", (first+n)%Boxes, SinkDomain))
		}
	}
	return l.Ledger.Send(sender, size, recipients...)
}
