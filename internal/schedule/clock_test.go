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

// The clock jumps, and is put right within the hour of grace, over a queue full of
// deferred mail: none of it is returned, all of it is tried within the longest
// back-off, and delivered once that works (durability R8).
func TestClockJumpsOverTheQueue(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for name, jump := range map[string]time.Duration{
		"an hour on": time.Hour, "an hour back": -time.Hour, "ten years on": 10 * year, "to 1970": -50 * year,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *fakeWorld) {
				const count = 100
				var tried atomic.Int64
				var works atomic.Bool
				w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
					tried.Add(1)
					if works.Load() {
						return sendAll(ctx, r, done)
					}
					done(0, mail.Defer("4.3.0", "later"))
					return nil
				}
				for n := range count {
					w.queue.add(fmt.Sprintf("A%d", n), queue.Incoming, fmt.Sprintf("r@c%d.test", n))
				}
				w.run(func(s *Scheduler) {
					longest := w.params.MaximalBackoff + 2*w.params.QueueRunDelay
					for _, to := range []time.Duration{jump, 0} {
						before := tried.Load()
						w.offset.Store(int64(to))
						if to > year { // it is put right in time
							time.Sleep(gracePeriod - time.Minute)
						} else {
							time.Sleep(longest)
						}
						synctest.Wait()
						if n := tried.Load() - before; n < count {
							t.Errorf("after the clock was set to %s off: %d of %d messages were tried", to, n, count)
						}
					}
					works.Store(true)
					time.Sleep(longest)
					synctest.Wait()
				})
				for n := range count {
					if got := w.queue.place(fmt.Sprintf("A%d", n)); got != "removed" {
						t.Fatalf("A%d is %s", n, got)
					}
				}
				if n := w.logged("status=expired"); n > 0 || len(w.notices) > 0 {
					t.Errorf("%d messages were returned, %d notices sent", n, len(w.notices))
				}
				if sent := w.logged("status=sent"); sent != count {
					t.Errorf("%d deliveries", sent)
				}
			})
		})
	}
}
