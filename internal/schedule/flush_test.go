package schedule

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// restlessQueue shows what comes back to the deferred queue while that is listed, as
// a directory may, until nothing comes for a while or it was read often enough.
type restlessQueue struct {
	*fakeQueue
	lists atomic.Int64 // of the deferred queue, begun
}

func (q *restlessQueue) List(n queue.Name) iter.Seq2[mail.QueueID, error] {
	if n != queue.Deferred {
		return q.fakeQueue.List(n)
	}
	q.lists.Add(1)
	return func(yield func(mail.QueueID, error) bool) {
		for range 5 {
			for id, err := range q.fakeQueue.List(n) {
				if !yield(id, err) {
					return
				}
			}
			time.Sleep(time.Second) // what was yielded is in deferred again
		}
	}
}

// attemptsByID counts the deliveries of each message.
func attemptsByID(w *fakeWorld) map[mail.QueueID]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := map[mail.QueueID]int{}
	for _, r := range w.requests {
		n[r.ID]++
	}
	return n
}

// later is an agent that defers everything at once.
func later(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
	for i := range r.Recipients {
		done(mail.RecipientIndex(i), mail.Defer("4.2.2", "full"))
	}
	return nil
}

// A flush tries each message once, though those that fail are in the deferred
// queue again before its scan has ended: those that it found there, and one that came
// meanwhile. A second one, asked for while the first runs, follows at once, and is a
// flush as well.
func TestFlushTriesEachOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		const count = 200
		w.agent = later
		q := &restlessQueue{fakeQueue: w.queue}
		for n := range count {
			w.queue.add(fmt.Sprintf("D%d", n), queue.Deferred, fmt.Sprintf("r@d%d.test", n)).due = time.Now().Add(time.Hour)
		}
		s := New(w.params, w.common, Deps{Queue: q, Resolver: w, Agents: w, Notices: w, Log: w, Clock: w})
		served := make(chan error, 1)
		go func() { served <- s.Serve(context.Background()) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		flush := func(times int) {
			t.Helper()
			synctest.Wait()
			if got := attemptsByID(w); len(got) == 0 || slices.ContainsFunc(valuesOf(got), func(n int) bool { return n != times }) {
				t.Errorf("attempts after %d flushes: %v", times, got)
			}
		}
		if n := len(attemptsByID(w)); n > 0 || q.lists.Load() != 0 {
			t.Errorf("%d messages tried before the flush, %d lists", n, q.lists.Load())
		}
		s.Flush()
		time.Sleep(500 * time.Millisecond)
		w.queue.add("NEW", queue.Incoming, "r@new.test")
		s.Arrived("NEW")
		time.Sleep(2 * time.Second)
		flush(1)
		s.Flush() // the first runs still
		s.Flush()
		time.Sleep(2 * time.Second)
		flush(1)
		time.Sleep(time.Minute)
		flush(2)
		if n := q.lists.Load(); n != 2 {
			t.Errorf("%d scans for two flushes", n)
		}
		if s.deferred.tried.seen != nil {
			t.Error("something is kept after the scan")
		}
		s.Stop(context.Background())
		<-served
	})
}

func valuesOf(m map[mail.QueueID]int) (list []int) {
	for _, n := range m {
		list = append(list, n)
	}
	return list
}

// An attempt that began before the flush is none of it; one that was asked for by
// name is made, tried or not.
func TestFlushAfterOlderAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			if len(attemptsByID(w)) == 1 && attemptsByID(w)["D0"] == 1 {
				time.Sleep(10 * time.Second)
			}
			return later(ctx, r, done)
		}
		q := &restlessQueue{fakeQueue: w.queue}
		w.queue.add("D0", queue.Incoming, "r@d.test")
		s := New(w.params, w.common, Deps{Queue: q, Resolver: w, Agents: w, Notices: w, Log: w, Clock: w})
		served := make(chan error, 1)
		go func() { served <- s.Serve(context.Background()) }()
		time.Sleep(8500 * time.Millisecond)
		s.Flush()
		time.Sleep(3 * time.Second) // the old attempt has failed, the scan goes on
		synctest.Wait()
		if n := attemptsByID(w)["D0"]; n != 2 {
			t.Errorf("%d attempts: before the flush and by it", n)
		}
		s.FlushMessages("D0")
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := attemptsByID(w)["D0"]; n != 3 {
			t.Errorf("%d attempts, the last asked for by name", n)
		}
		s.Stop(context.Background())
		<-served
	})
}

// A flush counts for new mail that its scan meets, and for none after that:
// defer_transports holds again.
func TestFlushEndsWithItsScan(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.params.DeferTransports = []string{"smtp"}
		w.run(func(s *Scheduler) {
			w.queue.add("A1", queue.Incoming, "r@c.test")
			s.Flush()
			synctest.Wait()
			if got := w.queue.place("A1"); got != "removed" {
				t.Errorf("what the flush found in incoming is %s", got)
			}
			w.queue.add("A2", queue.Incoming, "r@c.test")
			s.Arrived("A2")
			synctest.Wait()
			if got := w.queue.place("A2"); got != queue.Deferred {
				t.Errorf("what came after the flush is %s", got)
			}
		})
	})
}

// restlessFS reads each directory of the deferred queue again until what was claimed
// from it has come back, as a file system may show what is put into a directory.
type restlessFS struct {
	queue.FS
	again func()
}

func (f restlessFS) ReadDir(name string, each func(queue.DirEntry) bool) error {
	if !strings.HasPrefix(name, "deferred/") {
		return f.FS.ReadDir(name, each)
	}
	for range 3 {
		if err := f.FS.ReadDir(name, each); err != nil {
			return err
		}
		f.again()
	}
	return nil
}

// The same on disk.
func TestFlushTriesEachOnceOnDisk(t *testing.T) {
	t.Parallel()
	const count = 40 // fewer than a scan is ahead
	w := newWorld(t)
	w.agent = later
	var s *Scheduler
	fsys := restlessFS{queue.DirFS(t.TempDir()), func() { restUntilIdle(s) }}
	q, err := queue.New(queue.Options{FS: fsys, HashNames: []string{"deferred", "defer"}, HashDepth: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Setup(); err != nil {
		t.Fatal(err)
	}
	for range count {
		enqueue(t, q, "r@c.test")
	}
	s = New(w.params, w.common, Deps{Queue: Disk(q), Resolver: w, Agents: w, Notices: w, Log: w})
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	waiting := func(times int) func() bool {
		return func() bool {
			n := attemptsByID(w)
			return len(n) == count && !slices.ContainsFunc(valuesOf(n), func(n int) bool { return n < times })
		}
	}
	waitFor(t, waiting(1))
	restUntilIdle(s)
	s.Flush()
	waitFor(t, waiting(2))
	waitFor(t, func() bool { return !scanning(s) })
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if n := attemptsByID(w); slices.Max(valuesOf(n)) != 2 {
		t.Errorf("one attempt before the flush and one by it: %v", n)
	}
}

// scanning tells whether a scan of the deferred queue runs or is wanted.
func scanning(s *Scheduler) bool {
	return asked(s, func() bool { return s.deferred.ids != nil || s.deferred.wanted })
}

// asked asks the loop; after its end the answer is no.
func asked(s *Scheduler, question func() bool) bool {
	reply := make(chan bool, 1)
	s.post(func() { reply <- question() })
	select {
	case yes := <-reply:
		return yes
	case <-s.done:
		return false
	}
}

// restUntilIdle waits until no message is active and no name is on its way.
func restUntilIdle(s *Scheduler) {
	idle := func() bool { return len(s.messages) == 0 && len(s.deferred.ids) == 0 && len(s.hints) == 0 }
	for deadline := time.Now().Add(time.Minute); !asked(s, idle) && time.Now().Before(deadline); {
		time.Sleep(2 * time.Millisecond)
	}
}
