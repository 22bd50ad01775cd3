package schedule

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

func TestDeliverAndRemove(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		f := w.queue.add("A1", queue.Incoming, "r@c.test")
		w.run(func(s *Scheduler) {})
		if got := w.queue.place("A1"); got != "removed" {
			t.Fatalf("message is %s; log %q", got, w.log)
		}
		if len(f.done) != 0 {
			t.Error("the only recipient was marked though the file was removed next")
		}
		want := []string{
			"A1: from=<sender@a.test>, size=300, nrcpt=1 (queue active)",
			"smtp A1: to=<r@c.test>, relay=, dsn=2.0.0, status=sent (ok)",
			"A1: removed",
		}
		for i := range want {
			if i >= len(w.log) || w.log[i] != want[i] {
				t.Errorf("log %q, want %q", w.log, want)
				break
			}
		}
	})
}

func TestHint(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.run(func(s *Scheduler) {
			w.queue.add("A1", queue.Incoming, "r@c.test")
			s.Arrived("A1")
			synctest.Wait()
			if got := w.queue.place("A1"); got != "removed" {
				t.Errorf("message is %s", got)
			}
		})
	})
}

// deferring is an agent that defers and notes when it was asked.
func deferring(times *[]time.Time) func(context.Context, deliver.Request, func(mail.RecipientIndex, mail.Status)) error {
	return func(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		*times = append(*times, time.Now())
		for i := range r.Recipients {
			done(mail.RecipientIndex(i), mail.Defer("4.2.2", "mailbox full"))
		}
		return nil
	}
}

func TestBackoffThenExpiry(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		var times []time.Time
		w.agent = deferring(&times)
		w.params.QueueLifetime = 12 * time.Hour
		w.params.QueueRunDelay = time.Second
		w.queue.add("A1", queue.Incoming, "r@c.test")
		w.run(func(s *Scheduler) {
			time.Sleep(13 * time.Hour)
			synctest.Wait()
		})
		want := []time.Duration{300, 300, 600, 1200, 2400, 4000, 4000}
		for i, d := range want {
			if got := times[i+1].Sub(times[i]); got < d*time.Second*99/100 || got > d*time.Second*101/100 {
				t.Errorf("wait %d is %s, want %ds", i, got, d)
			}
		}
		if w.queue.place("A1") != "removed" || w.logged("A1: from=<sender@a.test>, status=expired, returned to sender") != 1 {
			t.Errorf("not expired: %s %q", w.queue.place("A1"), w.log[len(w.log)-4:])
		}
		if n := len(w.notices); n != 1 || w.notices[0].Kind != NoticeExpired || w.notices[0].Log != queue.DeferLog {
			t.Errorf("notices %+v", w.notices)
		}
	})
}

func TestBounceKeepsOthers(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.agent = func(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			for i, to := range r.Recipients {
				switch to.Address.Local() {
				case "bad", "never":
					done(mail.RecipientIndex(i), mail.Bounce("5.1.1", "unknown"))
				case "full":
					done(mail.RecipientIndex(i), mail.Defer("4.2.2", "full"))
				default:
					done(mail.RecipientIndex(i), mail.Sent("2.0.0", "ok"))
				}
			}
			return nil
		}
		f := w.queue.add("A1", queue.Incoming, "good@c.test", "bad@c.test", "full@c.test", "never@c.test")
		f.recipients[3].Notify = mail.NotifyNever
		f.recipients[0].Notify = mail.NotifySuccess
		w.run(func(s *Scheduler) {})
		if w.queue.place("A1") != queue.Deferred {
			t.Fatalf("message is %s", w.queue.place("A1"))
		}
		if !f.done[1] || !f.done[2] || f.done[3] || !f.done[4] {
			t.Errorf("marks %v", f.done)
		}
		var kinds []NoticeKind
		for _, n := range w.notices {
			kinds = append(kinds, n.Kind)
		}
		if len(kinds) != 2 || kinds[0] != NoticeBounce || kinds[1] != NoticeTrace {
			t.Errorf("notices %v", kinds)
		}
		if len(w.queue.logs[queue.BounceLog]) != 0 || len(w.queue.logs[queue.DeferLog]["A1"]) != 1 {
			t.Errorf("logs %v", w.queue.logs)
		}
	})
}

func TestNotifyFailureKeepsMessage(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.refuse = context.DeadlineExceeded
		w.agent = func(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			done(0, mail.Bounce("5.1.1", "unknown"))
			return nil
		}
		f := w.queue.add("A1", queue.Incoming, "bad@c.test")
		w.run(func(s *Scheduler) {
			if w.queue.place("A1") != queue.Deferred || !f.done[1] {
				t.Errorf("message is %s, marks %v", w.queue.place("A1"), f.done)
			}
			w.mu.Lock()
			w.refuse = nil
			w.mu.Unlock()
			time.Sleep(11 * time.Minute)
			synctest.Wait()
		})
		if w.queue.place("A1") != "removed" || len(w.requests) != 1 || len(w.notices) != 2 {
			t.Errorf("message is %s, %d requests, %d notices", w.queue.place("A1"), len(w.requests), len(w.notices))
		}
	})
}

func TestSoftBounce(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.common.SoftBounce = true
		w.agent = func(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			done(0, mail.Bounce("5.1.1", "unknown"))
			return nil
		}
		w.queue.add("A1", queue.Incoming, "bad@c.test")
		w.run(func(s *Scheduler) {})
		if w.queue.place("A1") != queue.Deferred || w.logged("dsn=4.1.1, status=SOFTBOUNCE (unknown)") != 1 {
			t.Errorf("%s %q", w.queue.place("A1"), w.log)
		}
	})
}

func TestDelayWarningAndClearing(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		var times []time.Time
		w.agent = deferring(&times)
		w.params.ConfirmDelayCleared = true
		f := w.queue.add("A1", queue.Incoming, "r@c.test")
		f.info.WarnAt = time.Now().Add(time.Hour)
		w.run(func(s *Scheduler) {
			time.Sleep(5 * time.Hour)
			synctest.Wait()
			if len(w.notices) != 1 || w.notices[0].Kind != NoticeDelay {
				t.Errorf("notices %+v", w.notices)
			}
			w.agent = sendAll
			s.Flush()
			synctest.Wait()
		})
		if len(w.notices) != 2 || w.notices[1].Kind != NoticeDelayCleared || w.queue.place("A1") != "removed" {
			t.Errorf("notices %+v, %s", w.notices, w.queue.place("A1"))
		}
	})
}

func TestForcedExpiry(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		f := w.queue.add("A1", queue.Deferred, "r@c.test")
		f.expire = true
		w.queue.logs[queue.DeferLog]["A1"] = []queue.LogEntry{{Offset: 1}}
		w.run(func(s *Scheduler) {})
		if len(w.requests) != 0 || len(w.notices) != 1 || w.queue.place("A1") != "removed" ||
			w.logged("status=force-expired, returned to sender") != 1 {
			t.Errorf("%d requests, notices %+v, %s", len(w.requests), w.notices, w.queue.place("A1"))
		}
	})
}

func TestForcedExpiryWithoutAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.agent = sendAll
		f := w.queue.add("A1", queue.Deferred, "r@c.test", "s@c.test")
		f.expire = true
		w.queue.logs[queue.DeferLog]["A1"] = []queue.LogEntry{{Offset: 1}} // of one only
		w.run(func(s *Scheduler) {})
		if len(w.requests) != 0 || len(w.notices) != 1 || w.queue.place("A1") != "removed" ||
			w.logged("dsn=4.7.0, status=deferred (message is administratively expired)") != 2 ||
			w.logged("status=force-expired, returned to sender") != 1 {
			t.Errorf("%d requests, notices %+v, %s, %q", len(w.requests), w.notices, w.queue.place("A1"), w.log)
		}
	})
}

func TestProbe(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		var times []time.Time
		w.agent = deferring(&times)
		f := w.queue.add("A1", queue.Incoming, "r@c.test")
		f.info.Trace = mail.TraceProbe
		w.run(func(s *Scheduler) {})
		if len(w.notices) != 1 || w.notices[0].Kind != NoticeProbe || len(w.notices[0].Results) != 1 ||
			w.notices[0].Results[0].Status.Action != mail.Undeliverable || w.queue.place("A1") != "removed" {
			t.Errorf("notices %+v, %s", w.notices, w.queue.place("A1"))
		}
	})
}

func TestDoubleBounceIsDiscarded(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.route = func(to mail.Address) (Route, error) {
			return Route{Transport: "local", Nexthop: "a.test", Local: true}, nil
		}
		w.queue.add("A1", queue.Incoming, "double-bounce@a.test")
		w.run(func(s *Scheduler) {})
		if len(w.requests) != 0 || w.queue.place("A1") != "removed" || w.logged("undeliverable postmaster notification discarded") != 1 {
			t.Errorf("%d requests, %s, %q", len(w.requests), w.queue.place("A1"), w.log)
		}
	})
}

func TestFilterAndRedirect(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.queue.add("A1", queue.Incoming, "a@c.test", "b@d.test").info.ContentFilter = "scan:[127.0.0.1]:10024"
		w.queue.add("A2", queue.Incoming, "a@c.test", "b@d.test").info.Redirect = "spam@e.test"
		w.run(func(s *Scheduler) {})
		if len(w.requests) != 2 {
			t.Fatalf("%d requests", len(w.requests))
		}
		for _, r := range w.requests {
			switch r.ID {
			case "A1":
				if r.Service != "scan" || r.Nexthop != "[127.0.0.1]:10024" || len(r.Recipients) != 2 {
					t.Errorf("%+v", r)
				}
			case "A2":
				if r.Nexthop != "e.test" || len(r.Recipients) != 1 || r.Recipients[0].Original != "a@c.test" {
					t.Errorf("%+v", r)
				}
			}
		}
		if w.queue.place("A2") != "removed" {
			t.Error("redirected message stays")
		}
	})
}

func TestVerifyOnly(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		f := w.queue.add("A1", queue.Incoming, "r@c.test")
		f.info.Trace = mail.TraceVerify
		w.run(func(s *Scheduler) {})
		if len(w.notices) != 1 || w.notices[0].Kind != NoticeVerify || w.notices[0].Log != queue.TraceLog ||
			w.queue.place("A1") != "removed" || w.logged("status=deliverable") != 1 {
			t.Errorf("notices %+v, %s, %q", w.notices, w.queue.place("A1"), w.log)
		}
	})
}

// TestReportOnce: sendmail -v is answered after the first attempt, not after each.
func TestReportOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		var times []time.Time
		w.agent = deferring(&times)
		f := w.queue.add("A1", queue.Incoming, "r@c.test")
		f.info.Trace = mail.TraceRecord
		w.run(func(s *Scheduler) {
			time.Sleep(5 * time.Hour)
			synctest.Wait()
			w.agent = sendAll
			s.Flush()
			synctest.Wait()
		})
		if len(times) < 3 || len(w.notices) != 1 || w.notices[0].Kind != NoticeTrace || w.queue.place("A1") != "removed" {
			t.Errorf("%d attempts, notices %+v, %s", len(times), w.notices, w.queue.place("A1"))
		}
	})
}

// TestLogFailures: a bounce that cannot be recorded is tried again, and an
// expired message is kept while its defer log is incomplete.
func TestLogFailures(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.agent = func(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			done(0, mail.Bounce("5.1.1", "unknown"))
			return nil
		}
		w.queue.failing["AppendLog bounce"] = errors.New("no space left on device")
		w.queue.failing["AppendLog defer"] = errors.New("no space left on device")
		w.params.QueueLifetime = 0
		f := w.queue.add("A1", queue.Incoming, "r@c.test")
		w.run(func(s *Scheduler) {
			if w.queue.place("A1") != queue.Deferred || len(f.done) != 0 || len(w.notices) != 0 {
				t.Errorf("message is %s, marks %v, notices %v", w.queue.place("A1"), f.done, w.notices)
			}
			w.queue.mu.Lock()
			clear(w.queue.failing)
			w.queue.mu.Unlock()
			s.Flush()
			synctest.Wait()
		})
		if w.queue.place("A1") != "removed" || len(w.notices) != 1 || w.notices[0].Kind != NoticeBounce {
			t.Errorf("message is %s, notices %v", w.queue.place("A1"), w.notices)
		}
	})
}
