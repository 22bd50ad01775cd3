package pickup

import (
	"context"
	"testing"

	"posthaste/internal/mail"
)

// Two generations after a reload do not both take a message.
func TestTwoScans(t *testing.T) {
	s := newSite(t)
	s.drop("4KWrX00000z1", plain)
	open, busy, goOn := s.s.deps.Open, make(chan bool), make(chan bool)
	s.s.deps.Open = func(ctx context.Context, e mail.Envelope) (Message, error) {
		busy <- true
		<-goOn
		return open(ctx, e)
	}
	successor := New(s.s.deps)
	successor.deps.Open = open
	first, second := make(chan bool), make(chan bool)
	go func() { s.s.Scan(t.Context()); close(first) }()
	<-busy // it has the message in hand
	go func() { successor.Scan(t.Context()); close(second) }()
	stopped, stop := context.WithCancel(t.Context())
	stop()
	successor.Scan(stopped) // one that is to leave does not wait
	close(goOn)
	<-first
	<-second
	if len(s.got) != 1 {
		t.Errorf("taken %d times", len(s.got))
	}
}
