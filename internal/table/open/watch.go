package open

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"posthaste/internal/table"
)

// checkInterval is how often a table's file is looked at, at most.
const checkInterval = time.Second

// watched is an open table that is opened again when its file has changed, or
// when it could not be opened before.
type watched struct {
	spec string
	file string // empty: there is none
	opts table.Options
	now  func() time.Time
	open func() (table.Table, error)

	next atomic.Int64 // when to look again, Unix nanoseconds

	check sync.Mutex  // one goroutine looks at a time; guards stamp
	stamp fs.FileInfo // the file as it was when table was opened; nil: was not there

	mu    sync.RWMutex // guards table and err; held for reading during lookups
	table table.Table
	err   error // the table cannot be used
}

// start opens the table for the first time.
func (w *watched) start() error {
	w.next.Store(w.now().Add(checkInterval).UnixNano())
	if w.file != "" {
		w.stamp, _ = os.Stat(w.file) // before opening: a change in between is seen later
	}
	w.set(w.open())
	return w.err
}

func (w *watched) set(t table.Table, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.table != nil {
		table.Close(w.table)
	}
	w.table, w.err = t, err
	if err != nil {
		w.table, w.err = nil, fmt.Errorf("%s is unavailable. %w", w.spec, err)
	}
}

// Lookup asks the table as it is now.
func (w *watched) Lookup(ctx context.Context, key string) (string, bool, error) {
	w.refresh()
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.err != nil {
		return "", false, w.err
	}
	return w.table.Lookup(ctx, key)
}

// Each lists the table as it is now.
func (w *watched) Each(yield func(key, value string) bool) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.err != nil {
		return w.err
	}
	return table.Each(w.table, yield)
}

// Close closes the table.
func (w *watched) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.table == nil {
		return nil
	}
	return table.Close(w.table)
}

// refresh opens the table again if it is time to look and the file changed.
func (w *watched) refresh() {
	if w.file == "" {
		return
	}
	now := w.now()
	due := w.next.Load()
	if now.UnixNano() < due || !w.next.CompareAndSwap(due, now.Add(checkInterval).UnixNano()) {
		return
	}
	if !w.check.TryLock() {
		return // a slow disk: somebody still looks
	}
	defer w.check.Unlock()
	stamp, err := os.Stat(w.file)
	broken := w.broken()
	switch {
	case err != nil && !broken:
		return // being replaced, or out of reach since the process gave up its rights: keep what is open
	case err == nil && !broken && sameVersion(w.stamp, stamp):
		return
	case err == nil && w.beingWritten(stamp, now):
		return
	}
	t, err := w.open()
	if errors.Is(err, fs.ErrPermission) && !broken {
		w.opts.Warnf("%s has changed, but this process may not read it any more: reload to use it", w.spec)
		w.stamp = stamp
		return
	}
	if err != nil && (!broken || !sameVersion(w.stamp, stamp)) {
		w.opts.Warnf("%s is unavailable. %s", w.spec, err)
	}
	w.stamp = stamp
	w.set(t, err)
}

func (w *watched) broken() bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.err != nil
}

// beingWritten tells whether an editor may be in the middle of the file: it is
// the file we know, and was changed in place just now.
func (w *watched) beingWritten(stamp fs.FileInfo, now time.Time) bool {
	age := now.Sub(stamp.ModTime())
	return w.stamp != nil && os.SameFile(w.stamp, stamp) && age >= 0 && age < checkInterval
}

func sameVersion(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
