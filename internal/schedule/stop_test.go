package schedule

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// A scheduler that is stopped while a delivery goes on tells at once of what it
// leaves to its successor, and of what comes in later.
func TestUntaken(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.max = 1
		deliveries := make(chan bool)
		w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			<-deliveries
			return sendAll(ctx, r, done)
		}
		s := w.scheduler()
		served := make(chan error, 1)
		go func() { served <- s.Serve(context.Background()) }()
		w.queue.add("A1", queue.Incoming, "r@c.test")
		s.Arrived("A1")
		synctest.Wait()
		for _, id := range []mail.QueueID{"A2", "A3"} { // they wait for their turn
			w.queue.add(string(id), queue.Incoming, "r@c.test")
			s.Arrived(id)
			synctest.Wait()
			if got := w.queue.place(string(id)); got != queue.Active {
				t.Fatalf("%s is %s", id, got)
			}
		}
		stopped := make(chan error, 1)
		go func() { stopped <- s.Stop(context.Background()) }()
		synctest.Wait()
		w.told(t, "A2", "A3")
		w.queue.add("A4", queue.Incoming, "r@c.test")
		s.Arrived("A4")
		synctest.Wait()
		w.told(t, "A2", "A3", "A4")
		for id, want := range map[string]queue.Name{"A1": queue.Active, "A2": queue.Incoming, "A3": queue.Incoming, "A4": queue.Incoming} {
			if got := w.queue.place(id); got != want {
				t.Errorf("%s is %s, want %s", id, got, want)
			}
		}
		deliveries <- true
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if got := w.queue.place("A1"); got != "removed" {
			t.Errorf("the message in hand is %s", got)
		}
	})
}

// What was told of and not claimed yet is left to the successor too; when some of it
// was lost, it has to look for itself.
func TestUntakenHints(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		s := w.scheduler() // its loop does not run
		for range cap(s.hints) + 1 {
			s.Arrived("A1")
		}
		s.halt()
		want := slices.Repeat([]string{"A1"}, cap(s.hints))
		w.told(t, append(want, "")...)
	})
}

// told checks what Untaken was told, in any order.
func (w *fakeWorld) told(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	got := slices.Sorted(slices.Values(w.untaken))
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("told of %d: %.100q, want %d: %.100q", len(got), got, len(want), want)
	}
}
