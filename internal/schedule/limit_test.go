package schedule

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// pulledQueue counts the names that scans have taken from the queue.
type pulledQueue struct {
	*fakeQueue
	pulled atomic.Int64
}

func (q *pulledQueue) List(n queue.Name) iter.Seq2[mail.QueueID, error] {
	return func(yield func(mail.QueueID, error) bool) {
		for id, err := range q.fakeQueue.List(n) {
			q.pulled.Add(1)
			if !yield(id, err) {
				return
			}
		}
	}
}

func (q *pulledQueue) ListStats(n queue.Name) iter.Seq2[queue.Listed, error] {
	return func(yield func(queue.Listed, error) bool) {
		for f, err := range q.fakeQueue.ListStats(n) {
			q.pulled.Add(1)
			if !yield(f, err) {
				return
			}
		}
	}
}

// A full active queue stops both scans where they are, and they go on as room
// comes; deferred mail leaves the last tenth to new mail.
func TestFullActiveQueueStopsScans(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		const limit, each = 50, 400
		w.params.ActiveLimit = limit
		w.quiet = true
		release := make(chan struct{})
		w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			<-release
			return sendAll(ctx, r, done)
		}
		for n := range each {
			w.queue.add(fmt.Sprintf("D%04d", n), queue.Deferred, fmt.Sprintf("r@d%d.test", n))
		}
		q := &pulledQueue{fakeQueue: w.queue}
		s := New(w.params, w.common, Deps{Queue: q, Resolver: w, Agents: w, Notices: w, Log: w, Clock: w})
		served := make(chan error, 1)
		go func() { served <- s.Serve(context.Background()) }()
		synctest.Wait()
		if n := active(w); n != limit-limit/10 {
			t.Errorf("%d messages active beside deferred mail alone, limit %d", n, limit)
		}
		for n := range each {
			w.queue.add(fmt.Sprintf("N%04d", n), queue.Incoming, fmt.Sprintf("r@n%d.test", n))
		}
		s.ScanIncoming()
		synctest.Wait()
		if n := active(w); n != limit {
			t.Errorf("%d messages active, limit %d", n, limit)
		}
		// Each scan is ahead by the names in its channel and the one in its hand.
		if n := q.pulled.Load(); n > limit+2*(ahead+1) {
			t.Errorf("%d names taken from the queues with %d messages active", n, limit)
		}
		for range 5 {
			release <- struct{}{}
		}
		synctest.Wait()
		if n := active(w); n != limit {
			t.Errorf("%d messages active after five have gone, limit %d", n, limit)
		}
		close(release)
		time.Sleep(time.Minute)
		synctest.Wait()
		for n := range each {
			for _, id := range []string{fmt.Sprintf("D%04d", n), fmt.Sprintf("N%04d", n)} {
				if got := w.queue.place(id); got != "removed" {
					t.Fatalf("%s is %s", id, got)
				}
			}
		}
		s.Stop(context.Background())
		<-served
	})
}

func active(w *fakeWorld) (n int) {
	w.queue.mu.Lock()
	defer w.queue.mu.Unlock()
	for _, f := range w.queue.files {
		if f.place == queue.Active {
			n++
		}
	}
	return n
}

// SCHEDULER_README's promise: small mail that overtakes a large job takes one
// delivery in slotCost from it, so that the large one takes at most
// cost/(cost-1) times as long as alone; and small mail of no more than its share,
// which is one delivery for each slotCost of the mailing, waits for a delivery to
// end, or for the next: it may have come when the places were just taken.
func TestOvertakingBounds(t *testing.T) {
	const (
		entries    = 5_000 // of five recipients each
		atATime    = 100
		perMessage = time.Second
	)
	cost := defaults().SlotCost
	mailing := func(small int) (took, worst time.Duration, lost int) {
		bubble(t, func(t *testing.T, w *fakeWorld) {
			var mu sync.Mutex
			sent, arrived := map[mail.QueueID]time.Time{}, map[mail.QueueID]time.Time{}
			begun := time.Now()
			w.quiet, w.max = true, atATime
			w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
				time.Sleep(perMessage)
				mu.Lock()
				sent[r.ID] = time.Now()
				mu.Unlock()
				return sendAll(ctx, r, done)
			}
			w.queue.bulk("LIST", 5*entries, entries)
			w.run(func(s *Scheduler) {
				for n := 0; w.queue.place("LIST") != "removed"; n++ {
					for k := range small {
						id := mail.QueueID(fmt.Sprintf("S%d_%d", n, k))
						arrived[id] = time.Now()
						w.queue.add(string(id), queue.Incoming, fmt.Sprintf("r@s%d.test", n*small+k))
						s.Arrived(id)
					}
					time.Sleep(perMessage)
				}
				time.Sleep(10 * perMessage)
			})
			took = sent["LIST"].Sub(begun)
			for id, at := range arrived {
				if sent[id].IsZero() {
					lost++
				}
				worst = max(worst, sent[id].Sub(at))
			}
		})
		return took, worst, lost
	}
	alone, _, _ := mailing(0)
	with, worst, lost := mailing(atATime / (cost + 1) / 2)
	if most := alone*time.Duration(cost)/time.Duration(cost-1) + perMessage; with > most {
		t.Errorf("the mailing took %v, alone %v: more than %v", with, alone, most)
	}
	// Two until there is a place for it, and its own.
	if worst > 3*perMessage || lost > 0 {
		t.Errorf("a message waited %v beside the mailing, %d were not delivered", worst, lost)
	}
	// Ten times as much small mail must not stop the mailing.
	if crowded, _, _ := mailing(2 * atATime); crowded > 3*alone {
		t.Errorf("the mailing took %v beside a flood of small mail, alone %v", crowded, alone)
	}
}
