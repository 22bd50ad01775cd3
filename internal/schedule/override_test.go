package schedule

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

// overrideCase shows that a <transport>_… parameter is honoured: what a probe sees
// without it, with it, and that it is not another transport's.
type overrideCase struct {
	suffix, value string
	base          map[string]string // further settings of smtp
	probe         func(t *testing.T, w *fakeWorld) string
	without, with string
}

// overrideCases has what postconf(5) lists as transport_…, but transport_time_limit,
// which is for pipe(8).
func overrideCases() []overrideCase {
	slots := map[string]string{"smtp_delivery_slot_cost": "2", "smtp_delivery_slot_loan": "0", "smtp_delivery_slot_discount": "0"}
	return []overrideCase{
		{"_delivery_slot_cost", "0", nil, order(20, 1), "211111111111111111111", "111111111111111111112"},
		{"_delivery_slot_cost", "1", nil, order(20, 1), "211111111111111111111", "111111111111111111112"},
		{"_delivery_slot_discount", "50", slots, order(10, 2, 2), "11112211113311", "11221111331111"},
		{"_delivery_slot_loan", "3", slots, order(10, 2), "111122111111", "221111111111"},
		{"_minimum_delivery_slots", "100", nil, order(20, 1), "211111111111111111111", "111111111111111111112"},
		{"_destination_concurrency_limit", "3", nil, most, "20", "3"},
		{"_initial_destination_concurrency", "2", nil, atFirst, "5", "2"},
		{"_destination_concurrency_positive_feedback", "0", nil, most, "20", "5"},
		{"_destination_concurrency_negative_feedback", "0", map[string]string{"smtp_destination_concurrency_limit": "6"}, attempts, "5", "9"},
		{"_destination_concurrency_failed_cohort_limit", "0", nil, attempts, "5", "40"},
		{"_destination_rate_delay", "10s", nil, span, "0s", "50s"},
		{"_transport_rate_delay", "10s", nil, span, "0s", "50s"},
		{"_destination_recipient_limit", "2", nil, calls, "1", "5"},
		{"_recipient_limit", "50", nil, inMemory, "300", "60"}, // and qmgr_message_recipient_minimum
		{"_extra_recipient_limit", "0", slots, overtakerReads, "1", "7"},
		{"_recipient_refill_limit", "50", map[string]string{"smtp_recipient_refill_delay": "1h", "other_recipient_refill_delay": "1h"}, besideStuck, "20", "300"},
		{"_recipient_refill_delay", "1s", map[string]string{"smtp_recipient_refill_limit": "1000"}, readsApart, "5s", "1s"},
	}
}

// order is the order of deliveries of messages of some sizes, one at a time.
func order(sizes ...int) func(t *testing.T, w *fakeWorld) string {
	return func(t *testing.T, w *fakeWorld) string {
		w.set["smtp_destination_recipient_limit"], w.max = "1", 1
		return inOrder(w, sizes...)
	}
}

// crowd is 40 messages to one destination that take a second each; it returns the
// most that ran at a time, and how many ran at first.
func crowd(w *fakeWorld) (most, first int) {
	var mu sync.Mutex
	running := 0
	w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		mu.Lock()
		running++
		most = max(most, running)
		mu.Unlock()
		time.Sleep(time.Second)
		mu.Lock()
		running--
		mu.Unlock()
		return sendAll(ctx, r, done)
	}
	for n := range 100 {
		w.queue.add(fmt.Sprintf("A%d", n), queue.Incoming, "r@c.test")
	}
	w.run(func(s *Scheduler) {
		synctest.Wait()
		mu.Lock()
		first = running
		mu.Unlock()
		time.Sleep(time.Minute)
	})
	return most, first
}

func most(t *testing.T, w *fakeWorld) string    { n, _ := crowd(w); return fmt.Sprint(n) }
func atFirst(t *testing.T, w *fakeWorld) string { _, n := crowd(w); return fmt.Sprint(n) }

// attempts is how often a destination that refuses is tried for 40 messages.
func attempts(t *testing.T, w *fakeWorld) string {
	w.agent = func(context.Context, deliver.Request, func(mail.RecipientIndex, mail.Status)) error {
		w.mu.Lock()
		n := len(w.requests)
		w.mu.Unlock()
		time.Sleep(time.Duration(n) * 200 * time.Millisecond) // one fails after the other
		return &deliver.SiteError{Status: mail.Defer("4.4.1", "connect to c.test: refused")}
	}
	for n := range 40 {
		w.queue.add(fmt.Sprintf("A%d", n), queue.Incoming, "r@c.test")
	}
	w.run(func(s *Scheduler) { time.Sleep(4 * time.Minute) })
	return fmt.Sprint(len(w.requests))
}

// span is the time between the first and the last of six deliveries.
func span(t *testing.T, w *fakeWorld) string {
	var first, last time.Time
	var mu sync.Mutex
	w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		mu.Lock()
		defer mu.Unlock()
		if first.IsZero() {
			first = time.Now()
		}
		last = time.Now()
		return sendAll(ctx, r, done)
	}
	for n := range 6 {
		w.queue.add(fmt.Sprintf("A%d", n), queue.Incoming, "r@c.test")
	}
	w.run(func(s *Scheduler) { time.Sleep(2 * time.Minute) })
	return last.Sub(first).String()
}

// calls is how many deliveries ten recipients at one destination take.
func calls(t *testing.T, w *fakeWorld) string {
	w.queue.bulk("A1", 10, 1)
	w.run(func(s *Scheduler) {})
	return fmt.Sprint(len(w.requests))
}

// large is a message that does not fit into memory, in a world where each delivery
// is of one recipient, and takes as long as its transport.
func large(w *fakeWorld, recipients int, smtp, other time.Duration) *fakeFile {
	w.params.RecipientLimit = 20
	w.set["smtp_destination_recipient_limit"] = "1"
	w.route = func(to mail.Address) (Route, error) {
		if to == "stuck@other.test" {
			return Route{Transport: "other", Nexthop: to.Domain()}, nil
		}
		return Route{Transport: "smtp", Nexthop: to.Domain()}, nil
	}
	w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		if r.Service == "other" {
			time.Sleep(other)
		} else {
			time.Sleep(smtp)
		}
		return sendAll(ctx, r, done)
	}
	return w.queue.bulk("LIST", recipients, recipients)
}

// inMemory is how many recipients of a message are in memory at most.
func inMemory(t *testing.T, w *fakeWorld) string {
	large(w, 300, time.Second, 0)
	w.max = 5
	most := 0
	w.run(func(s *Scheduler) {
		for range 200 {
			most = max(most, int(s.inCore.Load()))
			time.Sleep(500 * time.Millisecond)
		}
	})
	return fmt.Sprint(most)
}

// overtakerReads is how often a message that overtakes is read on, when it does not
// fit into memory and another holds all recipient slots. It keeps the extra ones until
// it is read.
func overtakerReads(t *testing.T, w *fakeWorld) string {
	large(w, 2000, time.Second, 0)
	w.set["smtp_recipient_limit"], w.set["smtp_delivery_slot_discount"] = "400", "100"
	w.max = 5
	w.run(func(s *Scheduler) {
		time.Sleep(100 * time.Second)
		w.queue.bulk("MID", 80, 80)
		s.Arrived("MID")
		time.Sleep(200 * time.Second)
	})
	n := 0
	for _, r := range w.queue.reads {
		if r.id == "MID" {
			n++
		}
	}
	return fmt.Sprint(n)
}

// stuckFirst is a large message whose first recipient is stuck at another transport.
func stuckFirst(w *fakeWorld, recipients int, smtp time.Duration) {
	f := large(w, recipients, smtp, time.Hour)
	var list []record.Entry
	for i := range recipients {
		list = append(list, f.entry(i))
	}
	f.recipients = list
	f.recipients[0].Address = "stuck@other.test"
	w.set["smtp_recipient_limit"], w.set["other_recipient_limit"] = "50", "1"
}

// besideStuck is how many recipients are served while one is stuck.
func besideStuck(t *testing.T, w *fakeWorld) string {
	stuckFirst(w, 300, time.Second)
	w.max = 5
	w.run(func(s *Scheduler) { time.Sleep(10 * time.Minute) })
	return fmt.Sprint(len(w.requests))
}

// readsApart is the least time between two reads of a message.
func readsApart(t *testing.T, w *fakeWorld) string {
	stuckFirst(w, 1000, 100*time.Millisecond)
	w.max = 1
	w.run(func(s *Scheduler) { time.Sleep(time.Minute) })
	least, reads := time.Hour, w.queue.reads
	for i := 2; i < len(reads); i++ { // the first is part of the first window
		least = min(least, reads[i].at.Sub(reads[i-1].at))
	}
	return least.Round(time.Second).String()
}

// A cost of 1 turns overtaking off as 0 does, also as the default of all transports.
func TestLeastSlotCost(t *testing.T) {
	for cost, want := range []string{"1111111112", "1111111112", "2111111111"} {
		bubble(t, func(t *testing.T, w *fakeWorld) {
			w.params.SlotCost, w.params.MinimumSlots = cost, 1
			if got := order(9, 1)(t, w); got != want {
				t.Errorf("cost %d: %s, want %s", cost, got, want)
			}
		})
	}
}

// What is left of a message is read on while nothing happens to it, because all that
// is in memory waits for a slow peer.
func TestRefillBesideSlowPeer(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		stuckFirst(w, 300, time.Millisecond)
		w.run(func(s *Scheduler) {
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if n := len(w.requests); n != 300 {
				t.Errorf("%d of 300 recipients were tried beside a slow one", n)
			}
		})
	})
}

func TestTransportOverrides(t *testing.T) {
	for _, c := range overrideCases() {
		for _, r := range []struct{ name, want string }{{"other" + c.suffix, c.without}, {"smtp" + c.suffix, c.with}} {
			t.Run(r.name, func(t *testing.T) {
				bubble(t, func(t *testing.T, w *fakeWorld) {
					for k, v := range c.base {
						w.set[k] = v
					}
					w.set[r.name] = c.value
					if got := c.probe(t, w); got != r.want {
						t.Errorf("%s = %s: %s, want %s", r.name, c.value, got, r.want)
					}
				})
			})
		}
	}
}
