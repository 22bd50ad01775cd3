package traffic

import (
	"math/rand/v2"
	"sync"
	"time"

	"posthaste/test/inject"
	"posthaste/test/ledger"
	"posthaste/test/peer"
)

// Mode is how the sink treats mail.
type Mode int

// The modes.
const (
	Normal    Mode = iota
	Refusing       // 4xx to some recipients and to some messages
	HangingUp      // the connection closes after some final dots, without a reply
	Slow           // some replies to the final dot take their time
)

// slowness is longer than the queue manager needs to come back.
const slowness = 1500 * time.Millisecond

// share is how many in a hundred are treated badly.
const share = 15

// Sink is the other end of outgoing mail. It notes each delivery before it
// answers; what it refuses or drops it has not taken, and wants again.
type Sink struct {
	*peer.Sink

	mu     sync.Mutex
	book   func(ledger.Delivery)
	random *rand.Rand
	mode   Mode
}

// NewSink starts a sink that accepts everything and notes it with book.
func NewSink(book func(ledger.Delivery), seed uint64) (*Sink, error) {
	p, err := peer.NewSink()
	if err != nil {
		return nil, err
	}
	s := &Sink{Sink: p, book: book, random: rand.New(rand.NewPCG(seed, 1))}
	p.Judge(s.judge)
	return s, nil
}

// Set changes how mail is treated from now on.
func (s *Sink) Set(m Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
}

// Book changes with what deliveries are noted from now on.
func (s *Sink) Book(book func(ledger.Delivery)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book = book
}

// chance tells whether the sink is in a mode and treats this one badly.
func (s *Sink) chance(m Mode) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode == m && s.random.IntN(100) < share
}

func (s *Sink) judge(verb string, t peer.Transaction) string {
	s.mu.Lock()
	book := s.book // a slow reply belongs to the books of its beginning
	s.mu.Unlock()
	switch {
	case s.chance(Refusing):
		return "451 4.3.0 not now"
	case verb != ".":
		return ""
	case s.chance(HangingUp):
		return "close"
	case s.chance(Slow):
		time.Sleep(slowness) // what is on its way stays so for a while
	}
	inject.Arrived(book, t)
	return ""
}
