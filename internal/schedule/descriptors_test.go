package schedule

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// With few descriptors few messages are active and fewer are being delivered, as
// many as there are descriptors for; all of them have their turn.
func TestFewDescriptors(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		const spare = 40
		var running, most, used atomic.Int64
		w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			w.mu.Lock()
			n := running.Add(1)
			most.Store(max(most.Load(), n))
			used.Store(max(used.Load(), int64(active(w))+deliveryNeeds*n))
			w.mu.Unlock()
			time.Sleep(time.Second)
			running.Add(-1)
			return sendAll(ctx, r, done)
		}
		for n := range 100 {
			w.queue.add(fmt.Sprintf("A%d", n), queue.Incoming, fmt.Sprintf("r@c%d.test", n))
		}
		w.descriptors = spare
		w.run(func(s *Scheduler) {
			active := 0
			for n := range 100 {
				if w.queue.place(fmt.Sprintf("A%d", n)) == queue.Active {
					active++
				}
			}
			if active != 24 { // all but 1, and 3 for each of 5 deliveries
				t.Errorf("%d messages are active", active)
			}
			if n := most.Load(); n != 5 {
				t.Errorf("%d deliveries at a time", n)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
		})
		for n := range 100 {
			if got := w.queue.place(fmt.Sprintf("A%d", n)); got != "removed" {
				t.Errorf("A%d is %s", n, got)
			}
		}
		// The last messages leave room for more deliveries.
		if n := most.Load(); n < 6 || used.Load() > spare {
			t.Errorf("%d deliveries at a time, %d descriptors", n, used.Load())
		}
	})
}

// Docs give the number of descriptors for as many messages as may be active by
// default; and whatever the number is, messages leave the deliveries theirs.
func TestDescriptorsOfManyMessages(t *testing.T) {
	s := newWorld(t).scheduler()
	s.deps.Descriptors = 25_600
	if n := s.mostMessages(); n != 20_000 {
		t.Errorf("%d descriptors are enough for %d messages", s.deps.Descriptors, n)
	}
	for n := 8; n < 100_000; n += 1 + n/10 {
		s.deps.Descriptors = n
		if sum := s.mostMessages() + deliveryNeeds*sureDeliveries(n); sum > n {
			t.Errorf("of %d descriptors %d are given away", n, sum)
		}
	}
}
