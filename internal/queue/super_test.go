package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"posthaste/internal/mail"
)

func mustAct(t *testing.T, q *Queue, a Action, id mail.QueueID, want Counts) {
	t.Helper()
	got, err := q.Act(a, id, Names)
	if err != nil || got != want {
		t.Errorf("action %d: %+v, %v; want %+v", a, got, err, want)
	}
}

func mustLie(t *testing.T, q *Queue, id mail.QueueID, want Name) Stat {
	t.Helper()
	n, st, err := q.Find(id)
	if n != want || err != nil && want != "" {
		t.Errorf("%s lies in %q (%v), not in %q", id, n, err, want)
	}
	return st
}

func TestAdministratorsActions(t *testing.T) {
	q, _ := newQueue(t)
	id := send(t, q, "r@c.test")
	mustAct(t, q, ActRelease, id, Counts{})
	mustAct(t, q, ActHold, id, Counts{Held: 1})
	mustLie(t, q, id, Hold)
	mustAct(t, q, ActHold, id, Counts{})
	mustAct(t, q, ActExpire, id, Counts{Expired: 1})
	mustAct(t, q, ActExpire, id, Counts{})
	mustAct(t, q, ActExpireRelease, id, Counts{Released: 1})
	if st := mustLie(t, q, id, Deferred); !st.Expired() {
		t.Error("not marked as expired")
	}
	mustAct(t, q, ActRequeue, id, Counts{Requeued: 1})
	mustLie(t, q, id, Maildrop)
	if err := q.AppendLog(DeferLog, id, LogEntry{}); err != nil {
		t.Fatal(err)
	}
	mustAct(t, q, ActDelete, id, Counts{Deleted: 1})
	mustLie(t, q, id, "")
	if _, err := q.Stat(DeferLog, id); !errors.Is(err, ErrGone) {
		t.Errorf("its log is left: %v", err)
	}
	mustAct(t, q, ActDelete, id, Counts{})
	if _, err := q.Act(ActDelete, "../x", Names); err == nil {
		t.Error("a path was taken for a queue id")
	}
}

func TestActionsOnAll(t *testing.T) {
	q, _ := newQueue(t)
	for range 5 {
		send(t, q, "r@c.test")
	}
	unfinished, err := q.Create(Incoming)
	if err != nil {
		t.Fatal(err)
	}
	defer unfinished.Discard()
	all := func(a Action, in []Name, want Counts) {
		t.Helper()
		if got := q.ActAll(a, in, func(err error) { t.Error(err) }); got != want {
			t.Errorf("action %d: %+v, want %+v", a, got, want)
		}
	}
	all(ActHold, []Name{Deferred}, Counts{})
	all(ActHold, Names, Counts{Held: 5})
	all(ActExpireRelease, Names, Counts{Expired: 5, Released: 5})
	all(ActDelete, []Name{Hold}, Counts{})
	all(ActDelete, Names, Counts{Deleted: 5})
	mustLie(t, q, unfinished.ID(), Incoming)
}

// A message that is complete but not durable yet is not moved under the hands
// of the door.
func TestActWaitsForCommit(t *testing.T) {
	q, _ := newQueue(t)
	id := send(t, q, "r@c.test")
	m, err := q.Open(Incoming, id)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := m.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	done := make(chan error)
	go func() {
		_, err := q.Act(ActHold, id, Names)
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("moved while it was locked: %v", err)
	case <-time.After(30 * time.Millisecond):
	}
	m.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	mustLie(t, q, id, Hold)
}

// What is delivered while the message is put on hold is not delivered again
// after its release.
func TestHoldDuringDelivery(t *testing.T) {
	q, _ := newQueue(t)
	id := send(t, q, "r1@c.test", "r2@c.test")
	m, err := q.Claim(Incoming, id, ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mustAct(t, q, ActHold, id, Counts{Held: 1})
	if err := m.Remove(); !errors.Is(err, ErrGone) {
		t.Errorf("remove: %v", err)
	}
	if err := m.MarkDone(m.Info.Entries[0]); err != nil {
		t.Fatal(err)
	}
	m.Close()
	mustAct(t, q, ActRelease, id, Counts{Released: 1})
	m, err = q.Claim(Deferred, id, ClaimOptions{Any: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if len(m.Info.Entries) != 1 || m.Info.Entries[0].Address != "r2@c.test" {
		t.Errorf("left: %+v", m.Info.Entries)
	}
}

// The mark must not go into another message that happens to have the name.
func TestMarkOfAReplacedFile(t *testing.T) {
	q, root := newQueue(t)
	id := send(t, q, "r@c.test")
	m, err := q.Claim(Incoming, id, ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	path := filepath.Join(root, q.Path(Active, id))
	text, _ := os.ReadFile(path)
	os.Remove(path)
	if err := os.WriteFile(filepath.Join(root, q.Path(Hold, id)), text, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := m.MarkDone(m.Info.Entries[0]); !errors.Is(err, ErrGone) {
		t.Errorf("mark: %v", err)
	}
}

// repairs runs Repair and returns what it warned of.
func repairs(t *testing.T, q *Queue, o RepairOptions) (warned []string, renamed int) {
	t.Helper()
	o.In = Maintained
	o.Warn = func(format string, args ...any) { warned = append(warned, fmt.Sprintf(format, args...)) }
	o.Note = func(string, ...any) {}
	renamed, err := q.Repair(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return warned, renamed
}

func TestRepairPutsFilesWhereTheyBelong(t *testing.T) {
	q, root := newQueue(t)
	deep, err := New(Options{FS: DirFS(root), HashNames: []string{"deferred", "defer", "incoming"}, HashDepth: 3})
	if err != nil {
		t.Fatal(err)
	}
	var ids []mail.QueueID
	for range 3 {
		id := send(t, deep, "r@c.test")
		if err := deep.AppendLog(DeferLog, id, LogEntry{}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := deep.Move(ids[0], Incoming, Deferred); err != nil {
		t.Fatal(err)
	}
	if warned, _ := repairs(t, q, RepairOptions{Structure: true}); len(warned) != 0 {
		t.Errorf("warnings: %q", warned)
	}
	mustLie(t, q, ids[0], Deferred)
	mustLie(t, q, ids[1], Incoming)
	for _, id := range ids {
		if _, err := q.Stat(DeferLog, id); err != nil {
			t.Errorf("log: %v", err)
		}
	}
	below, _ := filepath.Glob(filepath.Join(root, "deferred/*/*"))
	if len(below) != 1 || filepath.Base(below[0]) != string(ids[0]) {
		t.Errorf("left in deferred: %q", below)
	}
	if left, _ := filepath.Glob(filepath.Join(root, "incoming/?")); len(left) != 0 {
		t.Errorf("left in incoming: %q", left)
	}
}

func TestRepairOfNames(t *testing.T) {
	q, root := newShortQueue(t)
	id := send(t, q, "r@c.test")
	at := func(name string) string { return filepath.Join(root, name) }
	copyFile := func(name string) {
		text, _ := os.ReadFile(at(q.Path(Incoming, id)))
		if err := os.WriteFile(at(name), text, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	copyFile("deferred/8A254ABC")
	copyFile("deferred/4jZLSM6yhvz1SGXX")
	copyFile("hold/with space")
	copyFile("hold/notanid")
	if err := os.Symlink("/etc/passwd", at("hold/ABCDE1")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(at(q.Path(Incoming, id)), at(q.Path(Hold, id))); err != nil {
		t.Fatal(err)
	}
	// The name that 8A254ABC should have is taken by somebody.
	st, err := q.fs.Lstat("deferred/8A254ABC")
	if err != nil {
		t.Fatal(err)
	}
	right, _ := (&repair{q: q}).rightID("8A254ABC", st.Inode)
	copyFile("corrupt/" + string(right))
	if err := q.AppendLog(DeferLog, "8A254ABC", LogEntry{}); err != nil {
		t.Fatal(err)
	}

	warned, renamed := repairs(t, q, RepairOptions{Structure: true})
	slices.Sort(warned)
	want := []string{
		"bogus file name: hold/notanid", "bogus file name: hold/with space", "not a regular file: hold/ABCDE1",
		"removed incoming/" + string(id) + ": a further link to a message of another queue",
	}
	if !slices.Equal(warned, want) || renamed != 2 {
		t.Errorf("renamed %d, warned %q", renamed, warned)
	}
	mustLie(t, q, id, Hold)
	mustLie(t, q, nextID(right), Deferred)
	if _, err := q.Stat(DeferLog, nextID(right)); err != nil {
		t.Errorf("its log: %v", err)
	}
	if warned, renamed := repairs(t, q, RepairOptions{Structure: true}); renamed != 0 || len(warned) != 3 {
		t.Errorf("a second time: renamed %d, warned %q", renamed, warned)
	}
}

func TestRepairOverwritesNothing(t *testing.T) {
	q, root := newQueue(t)
	id := send(t, q, "r@c.test")
	if err := q.Move(id, Incoming, Deferred); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(root, "deferred", string(id))
	if err := os.WriteFile(other, []byte("other"), 0o700); err != nil {
		t.Fatal(err)
	}
	warned, _ := repairs(t, q, RepairOptions{Structure: true})
	if len(warned) != 1 || !strings.Contains(warned[0], "left alone") {
		t.Errorf("warned %q", warned)
	}
	if text, err := os.ReadFile(other); string(text) != "other" {
		t.Errorf("other file: %q %v", text, err)
	}
	if st := mustLie(t, q, id, Deferred); st.Size == 5 {
		t.Error("the message was overwritten")
	}
}

func TestPurgeTakesOldUnfinishedFilesOnly(t *testing.T) {
	q, root := newQueue(t)
	finished := send(t, q, "r@c.test")
	make := func(name string, age time.Duration, mode fs.FileMode) string {
		path := filepath.Join(root, name)
		at := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, nil, mode), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old := []string{make("incoming/old1", PurgeAge+time.Hour, 0o600), make("maildrop/123.456", PurgeAge+time.Hour, 0o644)}
	kept := []string{make("incoming/young", PurgeAge-time.Hour, 0o600), make("corrupt/x", 2*PurgeAge, 0o600),
		make("defer/log", 2*PurgeAge, 0o600), make("hold/ready", 2*PurgeAge, 0o700)}
	repairs(t, q, RepairOptions{Purge: true})
	for _, path := range old {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	for _, path := range kept {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	mustLie(t, q, finished, Incoming)
}

// A message that lies in a draft's hands is never ready, so that deleting all
// mail does not lose one whose client is told 250 a moment later.
func TestDraftsSurviveActions(t *testing.T) {
	q, _ := newQueue(t)
	d, err := q.Create(Incoming)
	if err != nil {
		t.Fatal(err)
	}
	writeMessage(d.Records(), "r@c.test")
	q.ActAll(ActDelete, Names, func(err error) { t.Error(err) })
	q.ActAll(ActHold, Names, func(err error) { t.Error(err) })
	if err := d.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	mustLie(t, q, d.ID(), Incoming)
}
