package schedule

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// Whoever keeps account of waiting mail hears of each delivery that failed for
// now, and of no other: of those that no agent was asked for, too.
func TestDeferredIsTold(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.agent = func(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			for i, to := range r.Recipients {
				switch to.Address.Domain() {
				case "late.test":
					done(mail.RecipientIndex(i), mail.Defer("4.4.1", "no answer"))
				case "never.test":
					done(mail.RecipientIndex(i), mail.Bounce("5.1.1", "unknown"))
				default:
					done(mail.RecipientIndex(i), mail.Sent("2.0.0", "ok"))
				}
			}
			return nil
		}
		w.queue.add("A1", queue.Incoming, "a@late.test", "b@soon.test", "c@never.test", "d@late.test")
		w.params.DeferTransports = nil
		w.run(func(s *Scheduler) { synctest.Wait() })
		slices.Sort(w.late)
		if want := []string{"A1 a@late.test", "A1 d@late.test"}; !slices.Equal(w.late, want) {
			t.Errorf("told of %q", w.late)
		}
		w.late, w.params.DeferTransports = nil, []string{"smtp"}
		w.queue.add("B2", queue.Incoming, "b@soon.test")
		w.run(func(s *Scheduler) { synctest.Wait() })
		if !slices.Contains(w.late, "B2 b@soon.test") {
			t.Errorf("told of %q", w.late)
		}
	})
}

// A site that asks for very much mail gets it, and new mail takes its turn all
// the same: one for one.
func TestNewMailBesideAsked(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		const count = 300
		w.run(func(s *Scheduler) {
			synctest.Wait()
			var ids []mail.QueueID
			for i := range count {
				id := fmt.Sprintf("D%04d", i)
				w.queue.add(id, queue.Deferred, "r@late.test").due = time.Now().Add(time.Hour)
				ids = append(ids, mail.QueueID(id))
				w.queue.add(fmt.Sprintf("N%04d", i), queue.Incoming, "r@soon.test")
			}
			s.post(func() { // both are there when the loop looks
				s.wish(want{ids: ids})
				for i := range count {
					s.Arrived(mail.QueueID(fmt.Sprintf("N%04d", i)))
				}
			})
			synctest.Wait()
		})
		asked, gap := 0, 0
		for _, id := range w.queue.claims {
			if id[0] == 'D' {
				asked++
				gap++
			} else {
				gap = 0
			}
			if gap > loaderCount { // loaders run beside each other
				t.Fatalf("%d messages in a row were claimed because they were asked for", gap)
			}
		}
		if len(w.queue.claims) != 2*count || asked != count {
			t.Errorf("%d claims, %d of them asked for", len(w.queue.claims), asked)
		}
	})
}
