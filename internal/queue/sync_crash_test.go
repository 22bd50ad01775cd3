package queue_test

import (
	"testing"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/queue/strictfs"
)

// Without a journal, too, a mark is durable after SyncInterval while other
// recipients keep the message where it is (R4).
func TestMarkIsDurableWithoutJournal(t *testing.T) {
	t.Run("in hand", func(t *testing.T) { markWithoutJournal(t, false) })
	t.Run("at rest", func(t *testing.T) { markWithoutJournal(t, true) })
}

func markWithoutJournal(t *testing.T, rest bool) {
	fsys := strictfs.New(strictfs.Posix)
	l := &ledger{}
	q, err := l.open(fsys)
	if err != nil {
		t.Fatal(err)
	}
	setup(fsys)
	e := l.accept(fsys, q, "text", false, false)
	m, err := q.Claim(queue.Incoming, e.id, queue.ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.MarkDone(m.Info.Entries[0]); err != nil {
		t.Fatal(err)
	}
	if rest {
		m.Rest()
	}
	if err := q.Tick(false); err != nil {
		t.Fatal(err)
	}
	after := fsys.Crash(fsys.Events(), strictfs.Keep{Survives: func(int, int) bool { return false }})
	if q, err = l.open(after); err != nil {
		t.Fatal(err)
	}
	if _, _, err := q.Recover(); err != nil {
		t.Fatal(err)
	}
	again, err := q.Claim(queue.Incoming, e.id, queue.ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if left := again.Info.Entries; len(left) != 1 || left[0].Address != mail.Address("r2@c.test") {
		t.Errorf("after the cut these are to be delivered: %v", left)
	}
	// What has gone meanwhile needs no sync.
	if err := again.MarkDone(again.Info.Entries[0]); err != nil {
		t.Fatal(err)
	}
	if err := again.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := q.Tick(false); err != nil {
		t.Error(err)
	}
}
