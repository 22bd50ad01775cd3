package strictfs

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"posthaste/internal/queue"
)

// FS is the file system. It is safe for concurrent use.
type FS struct {
	mu        sync.Mutex
	profile   Profile
	now       *state
	ops       []op
	events    int
	nextInode int
	calls     int
	failAt    int
	failWith  error
	fired     bool
	failures  int // of syncs
}

// New makes an empty file system.
func New(p Profile) *FS { return &FS{profile: p, now: newState(), nextInode: 1} }

// Events is how many changes and syncs there were.
func (f *FS) Events() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.events
}

// FailAt makes the n-th call from now on (1 is the next) fail with err.
func (f *FS) FailAt(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.failAt, f.failWith, f.fired = 0, n, err, false
}

// Fired tells whether the failure asked for with FailAt happened.
func (f *FS) Fired() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

// call counts a call and tells whether it is the one to fail. The caller holds mu.
func (f *FS) call(opName, name string) error {
	f.calls++
	if f.failAt == 0 || f.calls != f.failAt {
		return nil
	}
	f.fired = true
	return &fs.PathError{Op: opName, Path: name, Err: f.failWith}
}

// do carries out a change and notes it. The caller holds mu.
func (f *FS) do(o op) {
	f.events++
	o.at = f.events
	o.extends = o.kind == opWrite && o.offset+int64(len(o.data)) > int64(len(f.now.node(o.inode).data))
	f.now.apply(&o)
	f.ops = append(f.ops, o)
}

func fail(opName, name string, err error) error {
	return &fs.PathError{Op: opName, Path: name, Err: err}
}

// Create implements queue.FS.
func (f *FS) Create(name string, mode fs.FileMode) (queue.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("create", name); err != nil {
		return nil, err
	}
	if !f.now.dirs[path.Dir(name)] {
		return nil, fail("create", name, syscall.ENOENT)
	}
	if _, ok := f.now.names[name]; ok {
		return nil, fail("create", name, syscall.EEXIST)
	}
	inode := f.nextInode
	f.nextInode++
	f.do(op{kind: opCreate, name: name, inode: inode, mode: mode})
	return &handle{fs: f, inode: inode, name: name}, nil
}

// Open implements queue.FS.
func (f *FS) Open(name string, _ bool) (queue.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("open", name); err != nil {
		return nil, err
	}
	inode, ok := f.now.names[name]
	if !ok {
		return nil, fail("open", name, syscall.ENOENT)
	}
	return &handle{fs: f, inode: inode, name: name}, nil
}

// Append implements queue.FS.
func (f *FS) Append(name string, mode fs.FileMode) (queue.File, error) {
	f.mu.Lock()
	_, ok := f.now.names[name]
	f.mu.Unlock()
	if ok {
		return f.Open(name, true)
	}
	return f.Create(name, mode)
}

// Rename implements queue.FS.
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("rename", from); err != nil {
		return err
	}
	if _, ok := f.now.names[from]; !ok || !f.now.dirs[path.Dir(to)] {
		return fail("rename", from, syscall.ENOENT)
	}
	f.do(op{kind: opRename, name: from, to: to})
	return nil
}

// Remove implements queue.FS.
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("unlink", name); err != nil {
		return err
	}
	if _, ok := f.now.names[name]; !ok {
		return fail("unlink", name, syscall.ENOENT)
	}
	f.do(op{kind: opRemove, name: name})
	return nil
}

// Mkdir implements queue.FS.
func (f *FS) Mkdir(name string, _ fs.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("mkdir", name); err != nil {
		return err
	}
	switch {
	case f.now.dirs[name]:
		return fail("mkdir", name, syscall.EEXIST)
	case !f.now.dirs[path.Dir(name)]:
		return fail("mkdir", name, syscall.ENOENT)
	}
	f.do(op{kind: opMkdir, name: name})
	return nil
}

// Lstat implements queue.FS.
func (f *FS) Lstat(name string) (queue.Stat, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("lstat", name); err != nil {
		return queue.Stat{}, err
	}
	if inode, ok := f.now.names[name]; ok {
		return f.now.node(inode).stat(inode), nil
	}
	if f.now.dirs[name] {
		return queue.Stat{Mode: fs.ModeDir | 0o700}, nil
	}
	return queue.Stat{}, fail("lstat", name, syscall.ENOENT)
}

func (n *node) stat(inode int) queue.Stat {
	return queue.Stat{Mode: n.mode, Size: int64(len(n.data)), MTime: n.mtime, Inode: uint64(inode), Links: 1}
}

// ReadDir implements queue.FS.
func (f *FS) ReadDir(name string, each func(queue.DirEntry) bool) error {
	f.mu.Lock()
	if err := f.call("readdir", name); err != nil {
		f.mu.Unlock()
		return err
	}
	var entries []queue.DirEntry
	for n := range f.now.names {
		if path.Dir(n) == name {
			entries = append(entries, queue.DirEntry{Name: path.Base(n)})
		}
	}
	for d := range f.now.dirs {
		if d != "." && path.Dir(d) == name {
			entries = append(entries, queue.DirEntry{Name: path.Base(d), Dir: true})
		}
	}
	known := f.now.dirs[name]
	f.mu.Unlock()
	if !known {
		return fail("readdir", name, syscall.ENOENT)
	}
	for _, e := range entries {
		if !each(e) {
			break
		}
	}
	return nil
}

// SyncDir implements queue.FS.
func (f *FS) SyncDir(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sync("fsync", name, func(o *op) bool {
		return o.touches(name) || f.profile == Ext4 && o.names()
	})
}

// Syncer implements queue.FS.
func (f *FS) Syncer() (queue.Syncer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &syncer{f, f.failures}, nil
}

// Room implements queue.FS: there is plenty.
func (f *FS) Room() (int64, error) { return 1 << 50, nil }

// syncer tells once of every sync that failed since it was opened.
type syncer struct {
	fs   *FS
	told int
}

// SyncAll implements queue.Syncer.
func (s *syncer) SyncAll() error {
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	err := s.fs.sync("syncfs", ".", func(*op) bool { return true })
	if s.told < s.fs.failures {
		s.told = s.fs.failures
		err = fail("syncfs", ".", syscall.EIO)
	}
	return err
}

func (s *syncer) Close() error { return nil }

// sync makes operations durable, or, when it fails, drops them from memory:
// after a failed fsync the kernel takes the pages for clean. The caller holds mu.
func (f *FS) sync(opName, name string, covered func(*op) bool) error {
	err := f.call(opName, name)
	if err != nil {
		f.failures++
	}
	f.events++
	for i := range f.ops {
		o := &f.ops[i]
		if o.durable != 0 || o.lost || !covered(o) {
			continue
		}
		if err == nil {
			o.durable = f.events
		} else if !o.names() {
			o.lost = true
		}
	}
	return err
}

// handle is an open file.
type handle struct {
	fs    *FS
	inode int
	name  string
}

func (h *handle) Fd() int { return -1 }

func (h *handle) ReadAt(b []byte, offset int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.call("read", h.name); err != nil {
		return 0, err
	}
	data := h.fs.now.node(h.inode).data
	if offset >= int64(len(data)) {
		return 0, io.EOF
	}
	n := copy(b, data[offset:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) WriteAt(b []byte, offset int64) (int, error) {
	return len(b), h.change("write", op{kind: opWrite, offset: offset, data: append([]byte(nil), b...)})
}

func (h *handle) Chmod(mode fs.FileMode) error {
	return h.change("chmod", op{kind: opMode, mode: mode})
}

func (h *handle) Probe() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return h.fs.call("chown", h.name)
}

func (h *handle) SetTimes(mtime time.Time) error {
	return h.change("utimes", op{kind: opTimes, mtime: mtime})
}

func (h *handle) Truncate(size int64) error {
	return h.change("truncate", op{kind: opTruncate, offset: size})
}

func (h *handle) change(opName string, o op) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.call(opName, h.name); err != nil {
		return err
	}
	o.inode = h.inode
	h.fs.do(o)
	return nil
}

func (h *handle) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return h.fs.sync("fsync", h.name, func(o *op) bool {
		return !o.names() && o.inode == h.inode || h.fs.profile == Ext4 && o.names()
	})
}

func (h *handle) SyncData() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return h.fs.sync("fdatasync", h.name, func(o *op) bool {
		return o.inode == h.inode && (o.kind == opWrite || o.kind == opTruncate)
	})
}

func (h *handle) Stat() (queue.Stat, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.call("fstat", h.name); err != nil {
		return queue.Stat{}, err
	}
	return h.fs.now.node(h.inode).stat(h.inode), nil
}

func (h *handle) TryLock() (bool, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.call("lock", h.name); err != nil {
		return false, err
	}
	n := h.fs.now.node(h.inode)
	if n.lock != nil && n.lock != h {
		return false, nil
	}
	n.lock = h
	return true, nil
}

func (h *handle) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if n := h.fs.now.node(h.inode); n.lock == h {
		n.lock = nil
	}
	return h.fs.call("close", h.name)
}

// Dump lists names, modes and sizes, for the message of a failed test.
func (f *FS) Dump() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for name, inode := range f.now.names {
		n := f.now.node(inode)
		fmt.Fprintf(&b, "%s %v %d bytes\n", name, n.mode, len(n.data))
	}
	return b.String()
}
