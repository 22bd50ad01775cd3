package schedule

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

// slow is an agent that takes d per delivery.
func slow(d time.Duration) func(context.Context, deliver.Request, func(mail.RecipientIndex, mail.Status)) error {
	return func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		time.Sleep(d)
		return sendAll(ctx, r, done)
	}
}

func TestMailingDoesNotDelaySingleMessage(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.agent = slow(time.Second)
		w.quiet = true
		w.queue.bulk("LIST", 100_000, 20_000)
		w.run(func(s *Scheduler) {
			time.Sleep(20*time.Second + time.Millisecond)
			for i := range 20 {
				id := fmt.Sprintf("S%d", i)
				w.queue.add(id, queue.Incoming, fmt.Sprintf("r@s%d.test", i))
				s.Arrived(mail.QueueID(id))
			}
			// Every fifth delivery slot is theirs: 20 slots of a hundred that
			// free themselves each second, and one second to deliver.
			time.Sleep(3 * time.Second)
			synctest.Wait()
			for i := range 20 {
				if got := w.queue.place(fmt.Sprintf("S%d", i)); got != "removed" {
					t.Errorf("S%d is %s behind the mailing", i, got)
				}
			}
			time.Sleep(time.Hour)
			synctest.Wait()
		})
		if w.queue.place("LIST") != "removed" {
			t.Error("the mailing is not finished")
		}
	})
}

// throughput counts deliveries to good destinations in ten minutes, with bad
// destinations beside them.
func throughput(t *testing.T, bad func(r deliver.Request) error) (n int) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			if r.Nexthop == "bad.test" {
				if bad == nil {
					return sendAll(ctx, r, done)
				}
				if err := bad(r); err != nil {
					return err
				}
				return sendAll(ctx, r, done)
			}
			time.Sleep(time.Second)
			return sendAll(ctx, r, done)
		}
		w.max = 200
		w.params.ActiveLimit = 2000
		w.run(func(s *Scheduler) {
			for i := range 120 {
				for k := range 100 {
					id := fmt.Sprintf("G%d_%d", i, k)
					w.queue.add(id, queue.Incoming, fmt.Sprintf("r@g%d.test", k%20))
					s.Arrived(mail.QueueID(id))
				}
				if i%4 == 0 {
					id := fmt.Sprintf("B%d", i)
					w.queue.add(id, queue.Incoming, "r@bad.test")
					s.Arrived(mail.QueueID(id))
				}
				time.Sleep(time.Second)
			}
		})
		for _, r := range w.requests {
			if r.Nexthop != "bad.test" {
				n++
			}
		}
	})
	return n
}

func TestBadDestinationCostsOthersLittle(t *testing.T) {
	good := throughput(t, nil)
	dead := throughput(t, func(deliver.Request) error {
		time.Sleep(30 * time.Second)
		return &deliver.SiteError{Status: mail.Defer("4.4.1", "connect to bad.test: timed out")}
	})
	slow := throughput(t, func(deliver.Request) error { time.Sleep(5 * time.Minute); return nil })
	if dead*10 < good*9 || slow*10 < good*9 {
		t.Errorf("deliveries to others: %d alone, %d beside a dead one, %d beside a slow one", good, dead, slow)
	}
}

func TestDeadDestination(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.agent = func(context.Context, deliver.Request, func(mail.RecipientIndex, mail.Status)) error {
			time.Sleep(time.Second)
			return &deliver.SiteError{Status: mail.Defer("4.4.1", "connect to c.test: refused")}
		}
		for i := range 30 {
			w.queue.add(fmt.Sprintf("A%d", i), queue.Incoming, "r@c.test")
		}
		w.run(func(s *Scheduler) {
			time.Sleep(10 * time.Second)
			synctest.Wait()
			// The window goes 5, 4, 3, 2 and is dead with the fourth failure.
			if n := len(w.requests); n != 5 {
				t.Errorf("%d attempts before the destination was dead", n)
			}
			if n := w.logged("retry A"); n != 25 || w.logged("dsn=4.4.1, status=deferred (delivery temporarily suspended: connect to c.test: refused)") != 25 {
				t.Errorf("%d suspended: %q", n, w.log)
			}
			w.queue.add("LATE", queue.Incoming, "r@c.test")
			s.Arrived("LATE")
			synctest.Wait()
			if w.queue.place("LATE") != queue.Deferred || len(w.requests) != 5 {
				t.Error("a dead destination was tried")
			}
			w.agent = sendAll
			s.Flush()
			synctest.Wait()
		})
		for i := range 30 {
			if got := w.queue.place(fmt.Sprintf("A%d", i)); got != "removed" {
				t.Errorf("A%d is %s after the flush", i, got)
			}
		}
	})
}

func TestUnreachableTransport(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.agent = func(context.Context, deliver.Request, func(mail.RecipientIndex, mail.Status)) error {
			return errUnreachable
		}
		w.queue.add("A1", queue.Incoming, "r@c.test")
		w.run(func(s *Scheduler) {
			if w.logged("warning: connect to transport private/smtp: no such socket") != 1 ||
				w.logged("relay=none, dsn=4.3.0, status=deferred (mail transport unavailable)") != 1 {
				t.Errorf("log %q", w.log)
			}
			w.queue.add("A2", queue.Incoming, "r@d.test")
			s.Arrived("A2")
			synctest.Wait()
			if len(w.requests) != 1 || w.queue.place("A2") != queue.Deferred {
				t.Errorf("%d requests", len(w.requests))
			}
			w.agent = sendAll
			time.Sleep(61 * time.Second)
			w.queue.add("A3", queue.Incoming, "r@d.test")
			s.Arrived("A3")
			synctest.Wait()
			if w.queue.place("A3") != "removed" {
				t.Error("the transport is still dead after transport_retry_time")
			}
		})
	})
}

func TestMillionRecipients(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	const count = 1_000_000
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.quiet = true
		delivered, most := 0, int64(0)
		s := w.scheduler()
		w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			w.mu.Lock()
			delivered += len(r.Recipients)
			most = max(most, s.inCore.Load())
			w.requests = nil
			w.mu.Unlock()
			return sendAll(ctx, r, done)
		}
		f := w.queue.bulk("LIST", count, 1000)
		served := make(chan error, 1)
		go func() { served <- s.Serve(context.Background()) }()
		for w.queue.place("LIST") != "removed" {
			time.Sleep(time.Second)
		}
		s.Stop(context.Background())
		<-served
		if delivered != count || len(f.done) < count-1 {
			t.Errorf("%d delivered, %d marked", delivered, len(f.done))
		}
		if limit := int64(w.params.RecipientLimit + w.params.TransportRecipients + w.params.ExtraRecipients + 20); most > limit {
			t.Errorf("%d recipients in memory, limit %d", most, limit)
		}
		if n := s.inCore.Load(); n != 0 {
			t.Errorf("%d recipients counted at the end", n)
		}
	})
}

func TestRecipientBooks(t *testing.T) {
	// Many messages that do not fit into memory: the books must balance.
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.params.RecipientLimit, w.params.TransportRecipients, w.params.ExtraRecipients = 50, 60, 20
		w.params.RefillLimit = 5
		w.agent = slow(time.Millisecond)
		w.max = 10
		for i := range 40 {
			w.queue.bulk(fmt.Sprintf("A%d", i), 1+i*7, 3+i)
		}
		s := w.scheduler()
		served := make(chan error, 1)
		go func() { served <- s.Serve(context.Background()) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		s.Stop(context.Background())
		<-served
		smtp := s.transports["smtp"]
		if s.inCore.Load() != 0 || smtp.freeSlots != 60 || smtp.running != 0 ||
			smtp.unread.len() != 0 || smtp.open.len() != 0 || len(smtp.destinations) != 0 {
			t.Errorf("in core %d, free %d, running %d, unread %d, open %d, destinations %d", s.inCore.Load(), smtp.freeSlots,
				smtp.running, smtp.unread.len(), smtp.open.len(), len(smtp.destinations))
		}
		for i, c := range smtp.candidates {
			if c != nil && c.len() != 0 {
				t.Errorf("size class %d has %d jobs", i, c.len())
			}
		}
		for i := range 40 {
			if got := w.queue.place(fmt.Sprintf("A%d", i)); got != "removed" {
				t.Errorf("A%d is %s", i, got)
			}
		}
	})
}

func TestScansTakeTurns(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.params.ActiveLimit = 1
		w.agent = slow(time.Millisecond) // both scans have names at hand
		for i := range 50 {
			w.queue.add(fmt.Sprintf("I%d", i), queue.Incoming, "r@c.test")
			w.queue.add(fmt.Sprintf("D%d", i), queue.Deferred, "r@d.test")
		}
		w.run(func(s *Scheduler) { time.Sleep(time.Second) })
		first := w.queue.claims[:min(40, len(w.queue.claims))]
		deferred := 0
		for _, id := range first {
			if id[0] == 'D' {
				deferred++
			}
		}
		if len(first) != 40 || deferred < 18 || deferred > 22 {
			t.Errorf("%d of the first %d are from the deferred queue", deferred, len(first))
		}
	})
}

func TestPanicOfAgent(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			if r.ID == "BAD" {
				panic("boom")
			}
			return sendAll(ctx, r, done)
		}
		w.queue.add("BAD", queue.Incoming, "r@c.test")
		w.queue.add("GOOD", queue.Incoming, "r@c.test")
		w.run(func(s *Scheduler) {})
		if w.queue.place("BAD") != queue.Deferred || w.queue.place("GOOD") != "removed" || w.logged("panic: boom") == 0 {
			t.Errorf("BAD %s, GOOD %s, %q", w.queue.place("BAD"), w.queue.place("GOOD"), w.log)
		}
	})
}

func TestStopReleases(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.max = 1
		w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Hour):
			}
			return errors.New("not reached")
		}
		w.queue.add("A1", queue.Incoming, "r@c.test")
		w.queue.add("A2", queue.Incoming, "r@d.test")
		w.queue.bulk("A3", 500, 5)
		w.run(func(s *Scheduler) {})
		for _, id := range []string{"A1", "A2", "A3"} {
			if got := w.queue.place(id); got != queue.Incoming {
				t.Errorf("%s is %s", id, got)
			}
		}
		if n := len(w.queue.logs[queue.DeferLog]); n != 0 {
			t.Errorf("%d defer logs", n)
		}
		// The next start delivers them.
		w.agent = sendAll
		w.max = 100
		w.run(func(s *Scheduler) {})
		for _, id := range []string{"A1", "A2", "A3"} {
			if got := w.queue.place(id); got != "removed" {
				t.Errorf("%s is %s after the restart", id, got)
			}
		}
	})
}

func TestStopWaitsForRunning(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.agent = slow(10 * time.Second)
		w.queue.add("A1", queue.Incoming, "r@c.test")
		s := w.scheduler()
		served := make(chan error, 1)
		go func() { served <- s.Serve(context.Background()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Stop(ctx); err != nil || w.queue.place("A1") != "removed" {
			t.Errorf("%v, message is %s", err, w.queue.place("A1"))
		}
		<-served
	})
}

func TestRestartTakesActiveMail(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.queue.add("A1", queue.Active, "r@c.test")
		w.run(func(s *Scheduler) {})
		if w.queue.place("A1") != "removed" {
			t.Errorf("message is %s", w.queue.place("A1"))
		}
	})
}

func TestRateDelay(t *testing.T) {
	for _, name := range []string{"smtp_destination_rate_delay", "smtp_transport_rate_delay"} {
		bubble(t, func(t *testing.T, w *fakeWorld) {
			w.set[name] = "10s"
			var at []time.Time
			w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
				at = append(at, time.Now())
				return sendAll(ctx, r, done)
			}
			for i := range 4 {
				w.queue.add(fmt.Sprintf("A%d", i), queue.Incoming, "r@c.test")
			}
			w.run(func(s *Scheduler) { time.Sleep(time.Minute) })
			if len(at) != 4 {
				t.Fatalf("%s: %d deliveries", name, len(at))
			}
			for i := 1; i < 4; i++ {
				if d := at[i].Sub(at[i-1]); d != 10*time.Second {
					t.Errorf("%s: pause %s", name, d)
				}
			}
		})
	}
}

func TestDeferTransports(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.params.DeferTransports = []string{"smtp"}
		w.queue.add("A1", queue.Incoming, "r@c.test")
		w.run(func(s *Scheduler) {
			if w.queue.place("A1") != queue.Deferred || w.logged("dsn=4.3.2, status=deferred (deferred transport)") != 1 {
				t.Errorf("%s %q", w.queue.place("A1"), w.log)
			}
			s.FlushMessages("A1")
			synctest.Wait()
		})
		if w.queue.place("A1") != "removed" {
			t.Errorf("message is %s after the flush", w.queue.place("A1"))
		}
	})
}

func TestClockJump(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		var times []time.Time
		w.agent = deferring(&times)
		w.queue.add("A1", queue.Incoming, "r@c.test")
		w.run(func(s *Scheduler) {
			w.offset.Store(int64(10 * 365 * 24 * time.Hour))
			s.Flush()
			synctest.Wait()
			if w.queue.place("A1") != queue.Deferred || w.logged("clock jumped") != 1 {
				t.Errorf("message is %s: %q", w.queue.place("A1"), w.log)
			}
			// Not at the very moment of a queue run, whose claim would be in the way.
			time.Sleep(2*time.Hour + time.Minute)
			s.Flush()
			synctest.Wait()
		})
		if w.queue.place("A1") != "removed" || w.logged("status=expired") != 1 {
			t.Errorf("not expired after the grace period: %s", w.queue.place("A1"))
		}
	})
}

func TestCorruptAndStranded(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.queue.add("BAD", queue.Incoming, "r@c.test").corrupt = true
		w.queue.add("A1", queue.Incoming, "r@c.test")
		w.queue.failing["Remove"] = errors.New("input/output error")
		w.run(func(s *Scheduler) {
			if w.logged("warning: BAD: saved to the corrupt queue") != 1 || w.logged("warning: A1: end of delivery attempt: input/output error") != 1 {
				t.Errorf("log %q", w.log)
			}
			time.Sleep(61 * time.Second)
			synctest.Wait()
			if w.queue.place("A1") != queue.Deferred {
				t.Errorf("stranded message is %s", w.queue.place("A1"))
			}
			if done := w.queue.files["A1"].done; len(done) != 1 {
				t.Errorf("recipients that are marked as done: %v", done)
			}
		})
	})
}

func TestServiceWithoutAgent(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.missing["smtp"] = true
		w.queue.add("A1", queue.Incoming, "r@c.test")
		w.run(func(s *Scheduler) {
			if w.queue.place("A1") != queue.Deferred || w.logged("mail transport unavailable") != 1 {
				t.Errorf("%s %q", w.queue.place("A1"), w.log)
			}
			st, err := s.Stats(context.Background())
			if err != nil || len(st.Transports) != 1 || st.Transports[0].Dead != "mail transport unavailable" || st.Active != 0 {
				t.Errorf("stats %+v, %v", st, err)
			}
			delete(w.missing, "smtp")
			s.Flush()
			synctest.Wait()
		})
		if w.queue.place("A1") != "removed" {
			t.Errorf("message is %s after the flush", w.queue.place("A1"))
		}
	})
}

// TestDamagedContent: an agent finds the content damaged; it is set aside only
// when reading it again says the same.
func TestDamagedContent(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.agent = func(context.Context, deliver.Request, func(mail.RecipientIndex, mail.Status)) error {
			return fmt.Errorf("line 7: %w", record.ErrDamaged)
		}
		f := w.queue.add("A1", queue.Incoming, "r@c.test")
		f.info.Content = record.Content{File: strings.NewReader("\x00garbage"), Length: 8}
		w.run(func(s *Scheduler) {})
		if w.queue.place("A1") != queue.Corrupt || w.logged("warning: A1: saved to the corrupt queue") != 1 {
			t.Errorf("%s %q", w.queue.place("A1"), w.log)
		}
	})
}

// TestTemporaryResolverFailure defers the recipient and goes on.
func TestTemporaryResolverFailure(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.route = func(to mail.Address) (Route, error) {
			if to.Domain() == "c.test" {
				return Route{}, errors.New("table lookup failed")
			}
			return Route{Transport: "smtp", Nexthop: to.Domain()}, nil
		}
		f := w.queue.add("A1", queue.Incoming, "r@c.test", "r@d.test")
		w.run(func(s *Scheduler) {})
		if w.queue.place("A1") != queue.Deferred || f.done[1] || !f.done[2] ||
			w.logged("dsn=4.3.0, status=deferred (address resolver failure)") != 1 {
			t.Errorf("%s %v %q", w.queue.place("A1"), f.done, w.log)
		}
	})
}
