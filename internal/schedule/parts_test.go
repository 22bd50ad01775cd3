package schedule

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// alias is the result of a recipient that stood for others, one per status.
func alias(r deliver.Request, results map[mail.Address]mail.Status, order ...mail.Address) mail.Status {
	st := results[order[0]]
	for _, a := range order {
		st.Parts = append(st.Parts, mail.Part{
			Recipient: mail.Recipient{Address: a, Original: r.Recipients[0].Address}, Status: results[a],
		})
	}
	return st
}

// TestPartsAreToldOneByOne shows that the log and the notice name who failed.
func TestPartsAreToldOneByOne(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		w.agent = func(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			st := alias(r, map[mail.Address]mail.Status{"bad@c.test": mail.Bounce("5.1.1", "unknown"), "good@c.test": mail.Sent("2.0.0", "ok")},
				"bad@c.test", "good@c.test")
			st.Parts = append(st.Parts, mail.Part{Recipient: r.Recipients[0], Status: mail.Sent("2.0.0", "expanded"), Unlogged: true})
			done(0, st)
			return nil
		}
		w.refuse = context.DeadlineExceeded // keeps the log
		f := w.queue.add("A1", queue.Incoming, "alias@c.test")
		w.run(func(s *Scheduler) {})
		if !f.done[1] || w.logged("to=<bad@c.test>, relay=, dsn=5.1.1, status=bounced (unknown)") != 1 ||
			w.logged("to=<good@c.test>, relay=, dsn=2.0.0, status=sent (ok)") != 1 || w.logged("expanded") != 0 {
			t.Errorf("marks %v, log %q", f.done, w.log)
		}
		got := w.queue.logs[queue.BounceLog]["A1"]
		if len(got) != 1 || got[0].Recipient.Address != "bad@c.test" || got[0].Recipient.Original != "alias@c.test" {
			t.Errorf("bounce log %+v", got)
		}
	})
}

// TestPartsThatWait shows that a failure beside a deferral is told once: when
// the recipient is done, or with what was deferred for too long.
func TestPartsThatWait(t *testing.T) {
	bubble(t, func(t *testing.T, w *fakeWorld) {
		var emptied atomic.Bool
		w.agent = func(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
			full := mail.Defer("4.2.2", "full")
			if emptied.Load() {
				full = mail.Sent("2.0.0", "ok")
			}
			done(0, alias(r, map[mail.Address]mail.Status{"bad@c.test": mail.Bounce("5.1.1", "unknown"), "full@c.test": full},
				"full@c.test", "bad@c.test"))
			return nil
		}
		f := w.queue.add("A1", queue.Incoming, "alias@c.test")
		w.run(func(s *Scheduler) {
			w.queue.mu.Lock()
			waiting := w.queue.logs[queue.DeferLog]["A1"]
			if f.done[1] || len(waiting) != 2 || len(w.queue.logs[queue.BounceLog]["A1"]) != 0 {
				t.Errorf("marks %v, defer log %+v", f.done, waiting)
			}
			w.queue.mu.Unlock()
			w.mu.Lock()
			if len(w.notices) != 0 {
				t.Errorf("notices %v", w.notices)
			}
			w.mu.Unlock()
			emptied.Store(true)
			time.Sleep(time.Hour)
			synctest.Wait()
		})
		if len(w.notices) != 1 || w.notices[0].Kind != NoticeBounce || w.queue.place("A1") != "removed" {
			t.Errorf("notices %+v; message is %s", w.notices, w.queue.place("A1"))
		}
	})
}

// TestSuccessIsReportedByTheNextServer shows who reports the success of mail
// that went to a server with DSN: that server, but for sendmail -v.
func TestSuccessIsReportedByTheNextServer(t *testing.T) {
	for _, c := range []struct {
		action mail.Action
		trace  mail.Trace
		want   int
	}{{mail.Passed, 0, 0}, {mail.Relayed, 0, 1}, {mail.Delivered, 0, 1}, {mail.Passed, mail.TraceRecord, 1}} {
		bubble(t, func(t *testing.T, w *fakeWorld) {
			w.agent = func(_ context.Context, _ deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
				done(0, mail.Status{Action: c.action, Code: "2.0.0", Reason: "ok"})
				return nil
			}
			f := w.queue.add("A1", queue.Incoming, "r@c.test")
			f.recipients[0].Notify = mail.NotifySuccess
			f.info.Trace = c.trace
			w.run(func(s *Scheduler) {})
			if len(w.notices) != c.want {
				t.Errorf("action %v, trace %v: notices %+v, want %d", c.action, c.trace, w.notices, c.want)
			}
		})
	}
}
