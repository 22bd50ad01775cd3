package schedule

import (
	"context"
	"errors"
	"testing"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// TestWithRealQueue runs messages through a queue on disk: one is delivered, one
// bounced in part and deferred in part.
func TestWithRealQueue(t *testing.T) {
	t.Parallel()
	q := realQueue(t)
	w := newWorld(t)
	w.agent = func(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		for i, to := range r.Recipients {
			switch to.Address.Local() {
			case "bad":
				done(mail.RecipientIndex(i), mail.Bounce("5.1.1", "unknown"))
			case "full":
				done(mail.RecipientIndex(i), mail.Defer("4.2.2", "full"))
			default:
				done(mail.RecipientIndex(i), mail.Sent("2.0.0", "ok"))
			}
		}
		return nil
	}
	s := New(w.params, w.common, Deps{Queue: Disk(q), Resolver: w, Agents: w, Notices: w, Log: w})
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	good := enqueue(t, q, "good@c.test")
	mixed := enqueue(t, q, "good@c.test", "bad@c.test", "full@c.test")
	s.Arrived(good)
	s.Arrived(mixed)
	waitFor(t, func() bool {
		_, _, gone := q.Find(good)
		place, _, _ := q.Find(mixed)
		return gone != nil && place == queue.Deferred
	})
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	c, err := q.Claim(queue.Deferred, mixed, queue.ClaimOptions{Any: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Info.Unfinished != 1 || c.Info.Entries[0].Address != "full@c.test" {
		t.Errorf("left: %+v", c.Info.Entries)
	}
	if log, err := q.ReadLog(queue.DeferLog, mixed); err != nil || len(log) != 1 || log[0].Status.Reason != "full" {
		t.Errorf("defer log %+v, %v", log, err)
	}
	if len(w.notices) != 1 || w.notices[0].Kind != NoticeBounce {
		t.Errorf("notices %+v", w.notices)
	}
}

func realQueue(t *testing.T) *queue.Queue {
	t.Helper()
	q, err := queue.New(queue.Options{FS: queue.DirFS(t.TempDir()), HashNames: []string{"deferred", "defer"}, HashDepth: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Setup(); err != nil {
		t.Fatal(err)
	}
	return q
}

// A message that is put on hold or deleted while it is delivered ends in peace:
// what was delivered is not delivered again after the release.
func TestAdministratorDuringDelivery(t *testing.T) {
	t.Parallel()
	q, w := realQueue(t), newWorld(t)
	held := enqueue(t, q, "one@c.test", "two@c.test")
	deleted := enqueue(t, q, "one@d.test", "two@d.test")
	late := enqueue(t, q, "one@e.test", "two@e.test") // deleted, and deferred after that
	w.agent = func(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
		action := queue.ActHold
		if r.ID != held {
			action = queue.ActDelete
		}
		if _, err := q.Act(action, r.ID, queue.Names); err != nil {
			t.Error(err)
		}
		for i := range r.Recipients {
			st := mail.Sent("2.0.0", "ok")
			if r.ID == late {
				st = mail.Defer("4.0.0", "not now")
			}
			done(mail.RecipientIndex(i), st)
		}
		return nil
	}
	s := New(w.params, w.common, Deps{Queue: Disk(q), Resolver: w, Agents: w, Notices: w, Log: w})
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	s.Arrived(held)
	s.Arrived(deleted)
	s.Arrived(late)
	waitFor(t, func() bool {
		m, err := q.Open(queue.Hold, held)
		if err != nil {
			return false
		}
		defer m.Close()
		info, err := m.Info(0)
		_, _, gone := q.Find(deleted)
		return err == nil && info.Unfinished == 0 && gone != nil
	})
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if n := w.logged("warning"); n != 0 {
		t.Errorf("%d warnings", n)
	}
	if _, err := q.Stat(queue.DeferLog, late); !errors.Is(err, queue.ErrGone) {
		t.Errorf("the defer log of a deleted message: %v", err)
	}
}

func enqueue(t *testing.T, q *queue.Queue, to ...string) mail.QueueID {
	t.Helper()
	d, err := q.Create(queue.Incoming)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	r := d.Records()
	r.Envelope(&mail.Envelope{Sender: "sender@a.test", Arrival: now, Created: now})
	for _, a := range to {
		r.Recipient(mail.Recipient{Address: mail.Address(a)})
	}
	r.BeginContent()
	r.Line([]byte("Subject: hi"))
	r.Line(nil)
	r.Line([]byte("hello"))
	r.BeginExtracted()
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	return d.ID()
}

// waitFor waits for a condition on the disk.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("condition never became true")
		}
	}
}
