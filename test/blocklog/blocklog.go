// Package blocklog serves disks as files in a FUSE file system and keeps a log of
// all that is written to them, so that a test can show each disk as a power cut
// may leave it: with everything that was written before its last flush, and any
// part of what was written since. All disks share one log, in which the order
// of events on different disks is seen.
//
// It needs root and writes below the directory it is given.
package blocklog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// event is a write, or a flush.
type event struct {
	disk   int
	flush  bool
	offset int64     // on the disk
	size   int       // in bytes
	data   int64     // where the bytes lie in the log's file
	covers int       // of a flush: all writes before this event are durable
	at     time.Time // when it was done
}

// Log is the disks and all that happened to them. It is safe for concurrent use.
type Log struct {
	mount  string
	server *fuse.Server
	disks  []*os.File // the images as they are now

	mu     sync.Mutex
	pause  time.Duration // of each flush
	broken bool          // writes fail
	file   *os.File      // the bytes of all writes
	size   int64
	events []event
	failed error // the first failure of this package's own files
}

// Serve serves a copy of each image in directory mount. pause is how long a
// flush takes. dir is for files.
func Serve(dir, mount string, pause time.Duration, images ...string) (l *Log, err error) {
	l = &Log{mount: mount, pause: pause}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.file, err = os.Create(filepath.Join(dir, "blocklog")); err != nil {
		return nil, err
	}
	for _, image := range images {
		f, err := os.OpenFile(image, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		l.disks = append(l.disks, f)
	}
	if err := os.MkdirAll(mount, 0o700); err != nil {
		return nil, err
	}
	never := time.Hour // nothing changes but by the kernel itself
	l.server, err = serve(mount, &root{l: l}, &fs.Options{EntryTimeout: &never, AttrTimeout: &never,
		MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "blocklog", DisableXAttrs: true, MaxWrite: 1 << 20}})
	return l, err
}

// Path is where disk n is to be found as a file.
func (l *Log) Path(n int) string { return filepath.Join(l.mount, name(n)) }

func name(n int) string { return fmt.Sprintf("disk%d", n) }

// Close ends the service. The disks must not be in use any more. It tells of
// everything that went wrong in between.
func (l *Log) Close() error {
	err := l.server.Unmount()
	return errors.Join(err, l.failed, l.close())
}

func (l *Log) close() error {
	var failed error
	for _, f := range l.disks {
		failed = errors.Join(failed, f.Close())
	}
	if l.file != nil {
		failed = errors.Join(failed, l.file.Close())
	}
	return failed
}

// Len is how many events there were so far.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events)
}

// Slow changes how long a flush takes that begins from now on.
func (l *Log) Slow(pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pause = pause
}

// At is when an event was done.
func (l *Log) At(n int) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[n].at
}

// Break makes all writes to all disks fail with an I/O error, or ends that.
func (l *Log) Break(broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = broken
}

// write notes a write and does it.
func (l *Log) write(disk int, b []byte, offset int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return syscall.EIO
	}
	if _, err := l.file.WriteAt(b, l.size); err != nil {
		return l.fail(err)
	}
	if _, err := l.disks[disk].WriteAt(b, offset); err != nil {
		return l.fail(err)
	}
	l.events = append(l.events, event{disk: disk, offset: offset, size: len(b), data: l.size, at: time.Now()})
	l.size += int64(len(b))
	return nil
}

// fail keeps the first failure: a test must not blame the system for it. The
// caller holds mu.
func (l *Log) fail(err error) error {
	if l.failed == nil {
		l.failed = err
	}
	return err
}

// flush makes durable what was written to a disk before it began.
func (l *Log) flush(disk int) {
	l.mu.Lock()
	covers, pause := len(l.events), l.pause
	l.mu.Unlock()
	time.Sleep(pause)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, event{disk: disk, flush: true, covers: covers, at: time.Now()})
}

// root is the directory with the disks.
type root struct {
	fs.Inode
	l *Log
}

// node is one disk in it.
type node struct {
	fs.Inode
	l *Log
	n int
}

var (
	_ fs.NodeOnAdder   = (*root)(nil)
	_ fs.NodeOpener    = (*node)(nil)
	_ fs.NodeGetattrer = (*node)(nil)
	_ fs.NodeReader    = (*node)(nil)
	_ fs.NodeWriter    = (*node)(nil)
	_ fs.NodeFsyncer   = (*node)(nil)
)

// OnAdd makes the files.
func (r *root) OnAdd(ctx context.Context) {
	for n := range r.l.disks {
		child := r.NewPersistentInode(ctx, &node{l: r.l, n: n}, fs.StableAttr{Mode: syscall.S_IFREG})
		r.AddChild(name(n), child, false)
	}
}

func (d *node) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, fs.OK
}

func (d *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	st, err := d.l.disks[d.n].Stat()
	if err != nil {
		return fs.ToErrno(err)
	}
	out.Mode, out.Size = syscall.S_IFREG|0o600, uint64(st.Size())
	return fs.OK
}

func (d *node) Read(_ context.Context, _ fs.FileHandle, b []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	n, err := d.l.disks[d.n].ReadAt(b, offset)
	if err != nil && err != io.EOF {
		return nil, fs.ToErrno(err)
	}
	return fuse.ReadResultData(b[:n]), fs.OK
}

func (d *node) Write(_ context.Context, _ fs.FileHandle, b []byte, offset int64) (uint32, syscall.Errno) {
	if err := d.l.write(d.n, b, offset); err != nil {
		return 0, fs.ToErrno(err)
	}
	return uint32(len(b)), fs.OK
}

func (d *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	d.l.flush(d.n)
	return fs.OK
}
