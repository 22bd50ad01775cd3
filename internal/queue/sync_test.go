package queue

import (
	"context"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"posthaste/internal/mail"
)

// faultyFS is a real directory whose syncs fail when the test says so. As the
// kernel does, it tells one caller of a failure and the next one nothing.
type faultyFS struct {
	FS
	syncData, syncDir func() error
	stopped           bool // it takes no changes any more
}

func (f *faultyFS) Create(name string, mode fs.FileMode) (File, error) {
	file, err := f.FS.Create(name, mode)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f}, nil
}

func (f *faultyFS) SyncDir(name string) error {
	if f.syncDir != nil {
		if err := f.syncDir(); err != nil {
			return err
		}
	}
	return f.FS.SyncDir(name)
}

type faultyFile struct {
	File
	fs *faultyFS
}

func (f *faultyFile) SyncData() error { return f.fs.syncData() }

func (f *faultyFile) Probe() error {
	if f.fs.stopped {
		return syscall.EROFS
	}
	return f.File.Probe()
}

// Whoever waits for the sync after one that failed must not take its success for
// its own: what it wrote may be what the failed one has dropped (R2).
func TestSegmentWhoseSyncFailed(t *testing.T) {
	started, release := make(chan bool), make(chan bool)
	var calls atomic.Int32
	f := &faultyFS{FS: DirFS(t.TempDir()), syncData: func() error {
		if calls.Add(1) == 1 {
			started <- true
			<-release
			return syscall.EIO
		}
		return nil
	}}
	q, err := New(Options{FS: f, Journal: WholeJournal})
	if err == nil {
		err = q.Setup()
	}
	if err != nil {
		t.Fatal(err)
	}
	commit := func() chan error {
		done := make(chan error, 1)
		go func() {
			done <- q.journal.commit(&frame{kind: frameMessage, place: Incoming, id: q.ids.next(time.Now()), body: []byte("x")}, "")
		}()
		return done
	}
	first := commit()
	<-started
	group := &q.journal.cur.group
	second := commit()
	for waiting := false; !waiting; time.Sleep(time.Millisecond) {
		group.mu.Lock()
		for _, d := range group.dirs {
			waiting = d.waiting != nil
		}
		group.mu.Unlock()
	}
	close(release)
	for n, done := range []chan error{first, second} {
		if err := <-done; err == nil {
			t.Errorf("message %d counts as durable", n+1)
		}
	}
}

// A name that was made before a sync of its directory failed for somebody else
// may be what that has dropped.
func TestNameWhoseSyncFailedForAnother(t *testing.T) {
	fail := false
	f := &faultyFS{FS: DirFS(t.TempDir())}
	f.syncDir = func() error {
		if fail {
			fail = false
			return syscall.EIO
		}
		return nil
	}
	q, err := New(Options{FS: f})
	if err == nil {
		err = q.Setup()
	}
	if err != nil {
		t.Fatal(err)
	}
	create := func() *Draft {
		d, err := q.Create(Incoming)
		if err != nil {
			t.Fatal(err)
		}
		writeMessage(d.Records(), "r@c.test")
		return d
	}
	first, second := create(), create()
	fail = true
	if first.Commit(context.Background()) == nil {
		t.Error("the message whose sync failed counts as durable")
	}
	if second.Commit(context.Background()) == nil {
		t.Error("the message beside it counts as durable")
	}
	if left, _ := filepath.Glob(filepath.Join(string(f.FS.(dirFS)), "incoming", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := create().Commit(context.Background()); err != nil {
		t.Errorf("a later message: %v", err)
	}
	entry := LogEntry{Recipient: mail.Recipient{Address: "r@c.test"}}
	fail = true
	if q.AppendLog(BounceLog, "4jZQNP2ZRsz12qkKdtL", entry) == nil {
		t.Error("a log whose sync failed counts as durable")
	}
}

// A file system that could not write its own journal, because another process
// asked for it, stops, and says of later syncs that all is well. What that lost
// must not count as durable, neither a message nor a segment.
func TestNameLostByTheSyncOfAnotherProcess(t *testing.T) {
	for name, c := range map[string]struct {
		journal JournalUse
		spare   bool
	}{
		"no journal":          {},
		"segment in new file": {journal: WholeJournal},
		"in spare file":       {journal: WholeJournal, spare: true},
	} {
		f := &faultyFS{FS: DirFS(t.TempDir()), syncData: func() error { return nil }}
		q, err := New(Options{FS: f, Journal: c.journal})
		if err == nil {
			err = q.Setup()
		}
		if err == nil && c.spare {
			err = q.journal.prepare()
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.spare && len(q.journal.spares) == 0 {
			t.Log("SKIPPED: too little room for ", name)
			continue
		}
		d, err := q.Create(Incoming)
		if err != nil {
			t.Fatal(err)
		}
		writeMessage(d.Records(), "r@c.test")
		f.syncDir = func() error { // of incoming, or of the journal
			f.stopped = true
			return nil
		}
		if d.Commit(context.Background()) == nil {
			t.Errorf("%s: the message counts as durable", name)
		}
	}
}
