package schedule

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// countingFS counts what is done to the deferred queue, and can make the looks
// at its files wait, as a slow disk does.
type countingFS struct {
	queue.FS
	looks, opens, dirs atomic.Int64
	slow               atomic.Pointer[chan struct{}] // closed when the disk is fast again
}

func inDeferred(name string) bool { return strings.HasPrefix(name, "deferred") }

func (c *countingFS) Lstat(name string) (queue.Stat, error) {
	if inDeferred(name) && c.looks.Add(1) > 500 {
		if gate := c.slow.Load(); gate != nil {
			<-*gate
		}
	}
	return c.FS.Lstat(name)
}

func (c *countingFS) Open(name string, write bool) (queue.File, error) {
	if inDeferred(name) {
		c.opens.Add(1)
	}
	return c.FS.Open(name, write)
}

func (c *countingFS) ReadDir(name string, each func(queue.DirEntry) bool) error {
	if inDeferred(name) {
		c.dirs.Add(1)
	}
	return c.FS.ReadDir(name, each)
}

// Twenty thousand deferred messages, none of them due, are no reason for new
// mail to wait: neither at the start nor at a queue run, not even while the disk
// does not answer the scan. Each is looked at once a scan and never opened, and
// nothing is kept of it. (It measures memory, and so runs alone.)
func TestScanOfManyDeferred(t *testing.T) {
	const count = 20_000
	root := t.TempDir()
	fsys := &countingFS{FS: queue.DirFS(root)}
	q, err := queue.New(queue.Options{FS: fsys, HashNames: []string{"deferred", "defer"}, HashDepth: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Setup(); err != nil {
		t.Fatal(err)
	}
	deferMany(t, root, q, count)
	first := make(chan struct{})
	gate := first
	fsys.slow.Store(&first)
	w := newWorld(t)
	w.quiet = true
	s := New(w.params, w.common, Deps{Queue: Disk(q), Resolver: w, Agents: w, Notices: w, Log: w})
	before := heapBytes()
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	deliverNew := func() {
		t.Helper()
		id := enqueue(t, q, "new@c.test")
		s.Arrived(id)
		waitFor(t, func() bool { _, _, gone := q.Find(id, queue.Incoming, queue.Active); return gone != nil })
	}
	for scan := int64(1); scan <= 2; scan++ {
		waitFor(t, func() bool { return fsys.looks.Load() > 500 })
		deliverNew()
		if n := fsys.looks.Load(); n > 600 {
			t.Errorf("scan %d: %d looks past a disk that does not answer", scan, n)
		}
		close(gate)
		waitFor(t, func() bool { return fsys.looks.Load() >= count })
		deliverNew()
		if grown := int64(heapBytes()) - int64(before); grown > 2<<20 {
			t.Errorf("scan %d: %d bytes are kept of %d messages", scan, grown, count)
		}
		if looks, opens, dirs := fsys.looks.Load(), fsys.opens.Load(), fsys.dirs.Load(); looks != count || opens != 0 || dirs > 17 {
			t.Errorf("scan %d: %d looks, %d files opened, %d directories read", scan, looks, opens, dirs)
		}
		if scan == 1 {
			again := make(chan struct{})
			gate = again
			fsys.slow.Store(&again)
			fsys.looks.Store(0)
			fsys.dirs.Store(0)
			s.ScanDeferred()
		}
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// deferMany makes files in deferred whose time has not come.
func deferMany(t *testing.T, root string, q *queue.Queue, count int) {
	t.Helper()
	later := time.Now().Add(time.Hour)
	for i := range count {
		path := filepath.Join(root, q.Path(queue.Deferred, mail.QueueID(fmt.Sprintf("%05X%05d", i*52%0xFFFFF, i))))
		err := os.WriteFile(path, nil, 0o700)
		if err != nil {
			if err = os.Mkdir(filepath.Dir(path), 0o700); err == nil {
				err = os.WriteFile(path, nil, 0o700)
			}
		}
		if err == nil {
			err = os.Chtimes(path, later, later)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
