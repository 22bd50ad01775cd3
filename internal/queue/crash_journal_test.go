package queue_test

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"posthaste/internal/queue"
	"posthaste/internal/queue/strictfs"
)

// journaled is a history with two processes, each with a journal of its own:
// one takes mail in, the other delivers it. Every kind of checkpoint comes
// between the steps of some message.
func journaled(fsys *strictfs.FS, seam queue.FS, ackEarly bool) *ledger {
	l := &ledger{journal: true}
	in, err := l.open(seam)
	if err != nil || in.Setup() != nil {
		return l
	}
	manager, err := l.open(seam)
	if err != nil {
		return l
	}
	for _, base := range append(append([]queue.Name{queue.Journal}, queue.Names...), queue.Logs...) {
		fsys.SyncDir(string(base)) // made once at installation
	}
	tick := func(q *queue.Queue, checkpoint bool, removed ...*entry) {
		if q.Tick(checkpoint) != nil {
			return
		}
		for _, e := range removed {
			if e.removed && e.settled == 0 {
				e.settled = fsys.Events()
			}
		}
	}
	claim := func(e *entry, from queue.Name) *queue.Claimed {
		m, err := manager.Claim(from, e.id, queue.ClaimOptions{Any: true})
		if err != nil {
			return nil
		}
		return m
	}
	a := l.accept(fsys, in, "first", false, ackEarly)
	l.accept(fsys, in, "second", true, ackEarly)
	if m := claim(a, queue.Incoming); m != nil {
		a.delivered["r1@c.test"] = fsys.Events()
		m.MarkDone(m.Info.Entries[0])
		m.Defer(time.Unix(1, 0))
	}
	c := l.accept(fsys, in, strings.Repeat("third, in pieces. ", 4000), false, ackEarly)
	if m := claim(c, queue.Incoming); m != nil {
		finish(fsys, manager, m, c)
	}
	tick(manager, false, c) // the removal is noted; the message is in the other journal
	tick(manager, true)     // and must stay so while that is
	tick(in, true)          // now the first three are in their files
	tick(manager, true)
	d := l.accept(fsys, in, "fourth", false, ackEarly)
	if m := claim(a, queue.Deferred); m != nil { // older than the journal by now
		finish(fsys, manager, m, a)
	}
	tick(manager, false, a)
	if m := claim(d, queue.Incoming); m != nil {
		d.delivered["r2@c.test"] = fsys.Events()
		m.MarkDone(m.Info.Entries[1])
		m.SetWarned()
		m.Release()
	}
	tick(manager, true)
	l.accept(fsys, in, strings.Repeat("large, and held. ", 4000), true, ackEarly)
	in.Close()
	manager.Close()
	l.accept(fsys, in, "fifth", false, ackEarly)
	return l
}

// A mark whose way to the disk failed is still seen in memory. From the journal it
// must be written again, not only looked at.
func TestMarkWhoseSyncFailedIsWrittenAgain(t *testing.T) {
	fsys := strictfs.New(strictfs.Posix)
	setup(fsys)
	l := &ledger{journal: true}
	q, err := l.open(fsys)
	if err != nil {
		t.Fatal(err)
	}
	e := l.accept(fsys, q, "older than the journal", false, false)
	if err := q.Tick(true); err != nil || e.acked == 0 {
		t.Fatal(err)
	}
	next := time.Unix(2000000000, 0)
	m, err := q.Claim(queue.Incoming, e.id, queue.ClaimOptions{})
	if err == nil {
		e.delivered["r1@c.test"] = fsys.Events()
		if err = m.MarkDone(m.Info.Entries[0]); err == nil {
			err = m.Defer(next)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	fsys.FailAt(1, syscall.EIO) // the sync of all files
	if err := q.Tick(true); !errors.Is(err, syscall.EIO) {
		t.Fatalf("the checkpoint: %v", err)
	}
	fsys.FailAt(0, nil)
	if err := q.Sweep(); err != nil {
		t.Fatal(err)
	}
	fsys.SyncDir(string(queue.Journal)) // as the next segment has it done
	after := fsys.Crash(fsys.Events(), strictfs.Keep{Survives: func(int, int) bool { return false }})
	fsys.ReadDir(string(queue.Journal), func(e queue.DirEntry) bool {
		t.Errorf("left in the journal: %s", e.Name)
		return true
	})
	if q, err = l.open(after); err == nil {
		_, _, err = q.Recover()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	message, err := q.Open(queue.Deferred, e.id)
	if err != nil {
		t.Fatal(err, after.Dump())
	}
	if !message.Stat.MTime.Equal(next) {
		t.Errorf("the next attempt is at %s", message.Stat.MTime)
	}
	if info, err := message.Info(0); err != nil || len(info.Entries) != 1 {
		t.Errorf("recipients left: %+v, %v", info, err)
	}
}
