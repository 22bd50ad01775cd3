package queue

import (
	"errors"
	"io/fs"
	"sync"
	"syscall"
	"testing"
	"time"
)

// errseqFS tells of a page that could not be written as the kernel does: every
// descriptor once, but one that was opened after somebody was told.
type errseqFS struct {
	FS
	mu     sync.Mutex
	failed int // writes that failed
	told   int // of these, somebody knows
}

func (e *errseqFS) writeFails() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed++
}

func (e *errseqFS) Open(name string, write bool) (File, error) {
	f, err := e.FS.Open(name, write)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return &errseqFile{f, e, e.told}, nil
}

type errseqFile struct {
	File
	fs   *errseqFS
	seen int
}

func (f *errseqFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.seen < f.fs.failed {
		f.seen, f.fs.told = f.fs.failed, f.fs.failed
		return syscall.EIO
	}
	return f.File.Sync()
}

// A mark may fail to reach the disk while the message rests, and somebody else may be
// told of it. The message must not be deferred as if the mark were durable (R2).
func TestErrorWhileAtRest(t *testing.T) {
	fsys := &errseqFS{FS: DirFS(t.TempDir())}
	q, err := New(Options{FS: fsys})
	if err == nil {
		err = q.Setup()
	}
	if err != nil {
		t.Fatal(err)
	}
	id := send(t, q, "r1@c.test", "r2@c.test", "r3@c.test")
	m, err := q.Claim(Incoming, id, ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.MarkDone(m.Info.Entries[0]); err != nil {
		t.Fatal(err)
	}
	m.Rest()
	fsys.writeFails()
	if err := q.Tick(false); !errors.Is(err, syscall.EIO) {
		t.Fatalf("the sync of all that is marked: %v", err)
	}
	if err := m.MarkDone(m.Info.Entries[1]); err != nil {
		t.Fatal(err)
	}
	m.Rest()
	if err := m.Defer(time.Now()); !errors.Is(err, syscall.EIO) {
		t.Errorf("deferred with a mark that is lost: %v", err)
	}
}

// Marks may be made before a rest, after it, and after the administrator has moved
// the message meanwhile; of one that was deleted there is nothing to mark.
func TestMarkAfterRest(t *testing.T) {
	q, _ := newQueue(t)
	id := send(t, q, "r1@c.test", "r2@c.test", "r3@c.test")
	m, err := q.Claim(Incoming, id, ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	list := m.Info.Entries
	m.Rest() // nothing is open yet
	for i, act := range []func(){func() {}, func() { mustAct(t, q, ActHold, id, Counts{Held: 1}) }} {
		act()
		if err := m.MarkDone(list[i]); err != nil {
			t.Fatal(err)
		}
		m.Rest()
	}
	mustAct(t, q, ActRelease, id, Counts{Released: 1})
	open, err := q.Open(Deferred, id)
	if err != nil {
		t.Fatal(err)
	}
	info, err := open.Info(0)
	open.Close()
	if err != nil || len(info.Entries) != 1 || info.Entries[0].Address != "r3@c.test" {
		t.Errorf("left: %+v, %v", info, err)
	}
	mustAct(t, q, ActDelete, id, Counts{Deleted: 1})
	if err := m.MarkDone(list[2]); !errors.Is(err, ErrGone) {
		t.Errorf("mark of a message that was deleted: %v", err)
	}
	m.Close()
	m.Rest() // after the end it does nothing
}

// movingFS moves a message once, as it is looked for.
type movingFS struct {
	FS
	move func()
}

func (f *movingFS) Open(name string, write bool) (File, error) {
	file, err := f.FS.Open(name, write)
	if move := f.move; move != nil && write && errors.Is(err, fs.ErrNotExist) {
		f.move = nil
		move()
	}
	return file, err
}

// A move against the order in which the queues are looked into does not hide the
// message.
func TestMarkDuringMove(t *testing.T) {
	fsys := &movingFS{FS: DirFS(t.TempDir())}
	q, err := New(Options{FS: fsys})
	if err == nil {
		err = q.Setup()
	}
	if err != nil {
		t.Fatal(err)
	}
	id := send(t, q, "r1@c.test", "r2@c.test")
	m, err := q.Claim(Incoming, id, ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := q.Move(id, Active, Deferred); err != nil {
		t.Fatal(err)
	}
	// It was not in active; before deferred is looked into, it is there.
	fsys.move = func() {
		if err := q.Move(id, Deferred, Active); err != nil {
			t.Error(err)
		}
	}
	if err := m.MarkDone(m.Info.Entries[0]); err != nil {
		t.Errorf("mark: %v", err)
	}
}
