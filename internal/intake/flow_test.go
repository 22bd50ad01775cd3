package intake

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posthaste/internal/mail"
)

// spool is an incoming queue.
type spool struct {
	mu    sync.Mutex
	there map[mail.QueueID]bool
	order []mail.QueueID
	looks int
}

func (s *spool) waiting(id mail.QueueID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	return s.there[id]
}

// arrive puts the next message into the queue.
func (s *spool) arrive(f *flow) {
	s.mu.Lock()
	id := mail.QueueID(fmt.Sprintf("M%06d", len(s.order)))
	s.there[id] = true
	s.order = append(s.order, id)
	s.mu.Unlock()
	f.committed(id)
}

// take takes the oldest n messages that are there.
func (s *spool) take(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.order {
		if n > 0 && s.there[id] {
			n--
			delete(s.there, id)
		}
	}
}

// waits is how long a message must wait.
func waits(f *flow) time.Duration {
	begin := time.Now()
	f.wait(context.Background())
	return time.Since(begin)
}

// With a queue manager that stands still, the limit comes in at once, and each
// further message after the delay; once it goes on, none waits.
func TestFlowStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &spool{there: map[mail.QueueID]bool{}}
		f := newFlow(time.Second, 5, s.waiting)
		for i := range 12 {
			want := time.Duration(0)
			if i >= 5 {
				want = time.Second
			}
			if got := waits(f); got != want {
				t.Errorf("message %d waited %s, not %s", i, got, want)
			}
			s.arrive(f)
		}
		s.take(100)
		for i := range 5 {
			if got := waits(f); got != 0 {
				t.Errorf("message %d after the stop waited %s", i, got)
			}
			s.arrive(f)
		}
		time.Sleep(2 * lastLook) // for the last look of the watcher
	})
}

// A message that waits comes in soon after there is room, and no sooner.
func TestFlowReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &spool{there: map[mail.QueueID]bool{}}
		f := newFlow(10*time.Second, 4, s.waiting)
		for range 4 {
			f.wait(t.Context())
			s.arrive(f)
		}
		admitted := make(chan time.Duration, 2)
		for range 2 {
			go func() { admitted <- waits(f) }()
		}
		time.Sleep(2 * time.Second)
		if len(admitted) > 0 {
			t.Fatalf("%d messages did not wait", len(admitted))
		}
		s.take(2) // makes room for two
		for range 2 {
			if got := <-admitted; got < 2*time.Second || got > 2*time.Second+2*lastLook {
				t.Errorf("admitted after %s", got)
			}
			s.arrive(f)
		}
		if got := waits(f); got != 10*time.Second {
			t.Errorf("the third was admitted after %s", got)
		}
		time.Sleep(2 * lastLook)
	})
}

// A message that nobody can take holds up nothing, and neither do messages that
// were given up before they came in.
func TestFlowStraggler(t *testing.T) {
	s := &spool{there: map[mail.QueueID]bool{}}
	f := newFlow(time.Hour, 10, s.waiting)
	for i := range 1000 {
		f.wait(t.Context())
		if i%3 == 0 {
			continue // given up
		}
		s.arrive(f)
		s.take(1)
		if i%100 == 1 {
			s.mu.Lock()
			s.there[s.order[len(s.order)-1]] = true
			s.mu.Unlock()
			s.arrive(f)
			s.mu.Lock()
			delete(s.there, s.order[len(s.order)-1])
			s.mu.Unlock()
		}
	}
	if len(f.ring) != 10 {
		t.Errorf("%d messages are remembered", len(f.ring))
	}
}

// When the queue manager keeps up, a hundred messages cost a few looks.
func TestFlowCost(t *testing.T) {
	s := &spool{there: map[mail.QueueID]bool{}}
	f := newFlow(time.Hour, 100, s.waiting)
	for range 1000 {
		f.wait(t.Context())
		s.arrive(f)
		s.take(1)
	}
	if s.looks > 20 {
		t.Errorf("%d looks for 1000 messages", s.looks)
	}
}

// The end of a client's session ends its wait.
func TestFlowCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &spool{there: map[mail.QueueID]bool{}}
		f := newFlow(time.Hour, 1, s.waiting)
		f.wait(t.Context())
		s.arrive(f)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		f.wait(ctx)
		if got := time.Since(begin); got != time.Minute {
			t.Errorf("waited %s", got)
		}
		s.take(1)
		time.Sleep(time.Second) // the watcher must find that nobody waits
		synctest.Wait()
		if f.changed != nil {
			t.Error("somebody still looks")
		}
	})
}

// 0 turns it off.
func TestFlowOff(t *testing.T) {
	if newFlow(0, 100, func(mail.QueueID) bool { return true }) != nil {
		t.Error("made although the delay is 0")
	}
	var f *flow
	f.wait(t.Context())
	f.committed("X")
}

func BenchmarkFlow(b *testing.B) {
	f := newFlow(time.Second, 100, func(mail.QueueID) bool { return false })
	for b.Loop() {
		f.wait(context.Background())
		f.committed("4XyZ12abcdz1")
	}
}
