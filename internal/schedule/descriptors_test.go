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

// With few descriptors few messages are active and fewer are being delivered;
// all of them have their turn.
func TestFewDescriptors(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		const spare = 40
		var running, most atomic.Int64
		w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
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
			if active == 0 || active > spare/messageShare {
				t.Errorf("%d messages are active", active)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
		})
		for n := range 100 {
			if got := w.queue.place(fmt.Sprintf("A%d", n)); got != "removed" {
				t.Errorf("A%d is %s", n, got)
			}
		}
		if n := most.Load(); n == 0 || n > spare/deliveryShare {
			t.Errorf("%d deliveries at a time", n)
		}
	})
}
