package queue

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"posthaste/internal/mail"
)

// lookFS counts the looks at single files of the deferred queue.
type lookFS struct {
	FS
	looks int
}

func (l *lookFS) Lstat(name string) (Stat, error) {
	if strings.HasPrefix(name, string(Deferred)+"/") {
		l.looks++
	}
	return l.FS.Lstat(name)
}

// The repair after the start looks at no file whose name tells enough, moves
// those that lie in the wrong place all the same, and ends when it is told.
func TestRepairByNames(t *testing.T) {
	l := &lookFS{FS: DirFS(t.TempDir())}
	open := func(depth int) *Queue {
		q, err := New(Options{FS: l, HashNames: []string{"deferred", "defer"}, HashDepth: depth})
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	q := open(1)
	if err := q.Setup(); err != nil {
		t.Fatal(err)
	}
	var ids []mail.QueueID
	for range 20 {
		id := send(t, q, "r@c.test")
		if err := q.AppendLog(DeferLog, id, LogEntry{}); err != nil {
			t.Fatal(err)
		}
		if err := q.Move(id, Incoming, Deferred); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	o := RepairOptions{In: Late, Names: true, Structure: true, Warn: t.Errorf, Note: func(string, ...any) {}}
	l.looks = 0
	if renamed, err := q.Repair(t.Context(), o); err != nil || renamed != 0 || l.looks != 0 {
		t.Errorf("renamed %d, %v, %d looks at files in order", renamed, err, l.looks)
	}
	deeper := open(2)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := deeper.Repair(ended, o); err != nil {
		t.Error(err)
	}
	mustLie(t, q, ids[0], Deferred)
	if _, err := deeper.Repair(t.Context(), o); err != nil {
		t.Error(err)
	}
	for _, id := range ids {
		mustLie(t, deeper, id, Deferred)
		if _, err := deeper.Stat(DeferLog, id); err != nil {
			t.Error(filepath.Base(deeper.Path(DeferLog, id)), err)
		}
	}
}
