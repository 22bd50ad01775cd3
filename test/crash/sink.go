package main

import (
	"math/rand/v2"
	"sync"
	"time"

	"posthaste/test/inject"
	"posthaste/test/ledger"
	"posthaste/test/peer"
)

// mode is how the sink treats mail.
type mode int

const (
	normal    mode = iota
	refusing       // 4xx to some recipients and to some messages
	hangingUp      // the connection closes after some final dots, without a reply
	slow           // some replies to the final dot take their time
)

// slowness is longer than the queue manager needs to come back.
const slowness = 1500 * time.Millisecond

// share is how many in a hundred are treated badly.
const share = 15

// sink is the other end of outgoing mail. It notes each delivery before it
// answers; what it refuses or drops it has not taken, and wants again.
type sink struct {
	*peer.Sink
	ledger *ledger.Ledger

	mu     sync.Mutex
	random *rand.Rand
	mode   mode
}

func newSink(l *ledger.Ledger, seed uint64) (*sink, error) {
	p, err := peer.NewSink()
	if err != nil {
		return nil, err
	}
	s := &sink{Sink: p, ledger: l, random: rand.New(rand.NewPCG(seed, 1))}
	p.Judge(s.judge)
	return s, nil
}

func (s *sink) set(m mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
}

// chance tells whether the sink is in a mode and treats this one badly.
func (s *sink) chance(m mode) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode == m && s.random.IntN(100) < share
}

func (s *sink) judge(verb string, t peer.Transaction) string {
	switch {
	case s.chance(refusing):
		return "451 4.3.0 not now"
	case verb != ".":
		return ""
	case s.chance(hangingUp):
		return "close"
	case s.chance(slow):
		time.Sleep(slowness) // what is on its way stays so for a while
	}
	inject.Arrived(s.ledger, t)
	return ""
}
