package fault

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"posthaste/internal/queue"
	"posthaste/test/blocklog"
	"posthaste/test/disk"
)

// What docs/durability.md says of the kernel: a file system that could not write
// its journal stops, for good, and may tell of it only whoever waits for a sync
// at that moment. Later syncs may say that all is well, by whatever descriptor;
// a change is refused.
func TestFileSystemStops(t *testing.T) {
	root(t)
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			tool(t, "mkfs."+kind)
			d := newFailing(t, kind)
			kept := d.open(".")
			if err := kept.Sync(); err != nil {
				t.Fatal(err)
			}
			f, err := queue.DirFS(d.top).Create("file", 0o600)
			if err != nil {
				t.Fatal(err)
			}
			d.files = append(d.files, f)
			if _, err = f.WriteAt([]byte("content"), 0); err == nil { // and nothing is left for its own sync to write
				err = unix.SyncFileRange(f.Fd(), 0, 0, unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
			}
			if err != nil {
				t.Fatal(err)
			}
			other := d.open(".")
			d.log.Break(true)
			if other.Sync() == nil {
				t.Error("a sync succeeded that could not write anything")
			}
			d.log.Break(false)
			file, directory := f.Sync(), kept.Sync()
			t.Logf("syncs after one of somebody else that failed: of the file: %v; of the directory, by a descriptor open since before: %v", file, directory)
			if err = f.Probe(); err == nil {
				t.Error("nothing tells that the file system has stopped")
			}
			t.Logf("a change: %v", err)
			d.remount()
			if _, err := os.Lstat(filepath.Join(d.top, "file")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the name was not lost: %v", err)
			}
		})
	}
}

// failing is a file system on a disk whose writes can be made to fail.
type failing struct {
	t          *testing.T
	kind       string
	top, image string
	log        *blocklog.Log
	files      []io.Closer
}

func newFailing(t *testing.T, kind string) *failing {
	t.Helper()
	dir := t.TempDir()
	d := &failing{t: t, kind: kind, top: filepath.Join(dir, "top"), image: filepath.Join(dir, "image")}
	err := disk.Make(d.image, 400<<20, kind)
	if err == nil {
		d.log, err = blocklog.Serve(dir, filepath.Join(dir, "served"), 0, d.image)
	}
	if err == nil {
		err = disk.Mount(d.log.Path(0), d.top, kind, "")
	}
	if errors.Is(err, disk.ErrNoDevice) {
		t.Skip("SKIPPED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.close()
		if err := disk.Unmount(d.top); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *failing) open(name string) *os.File {
	d.t.Helper()
	f, err := os.Open(filepath.Join(d.top, name))
	if err != nil {
		d.t.Fatal(err)
	}
	d.files = append(d.files, f)
	return f
}

func (d *failing) close() {
	for _, f := range d.files {
		f.Close()
	}
	d.files = nil
}

// remount shows the disk as it is.
func (d *failing) remount() {
	d.t.Helper()
	d.close()
	err := disk.Unmount(d.top)
	if err := errors.Join(err, d.log.Close()); err != nil {
		d.t.Fatal(err)
	}
	if err := disk.Mount(d.image, d.top, d.kind, ""); err != nil {
		d.t.Fatal(err)
	}
}
