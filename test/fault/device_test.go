package fault

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"posthaste/test/blocklog"
	"posthaste/test/disk"
)

// device is a disk of its own, served by the test: it can be slow.
type device struct {
	dir string
	log *blocklog.Log
}

// newDevice prepares one, which goes away after the site that uses it.
func newDevice(t *testing.T) *device {
	t.Helper()
	root(t)
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("SKIPPED: ", err)
	}
	d := &device{dir: t.TempDir()}
	t.Cleanup(func() {
		if d.log == nil {
			return
		}
		if err := errors.Join(disk.Unmount(d.dir+"/disk"), d.log.Close()); err != nil {
			t.Error(err)
		}
	})
	return d
}

// mount shows an ext4 on it in the places of directories.
func (d *device) mount(dirs ...string) (err error) {
	if err = disk.Make(d.dir+"/image", 256<<20, "ext4"); err != nil {
		return err
	}
	if d.log, err = blocklog.Serve(d.dir, d.dir+"/served", 0, d.dir+"/image"); err != nil {
		return err
	}
	if err = disk.Mount(d.log.Path(0), d.dir+"/disk", "ext4", ""); err != nil {
		return err
	}
	for _, seen := range dirs {
		st, err := os.Stat(seen)
		if err != nil {
			return err
		}
		part := filepath.Join(d.dir, "disk", filepath.Base(seen))
		if err = errors.Join(os.Mkdir(part, 0o755), os.Chmod(part, st.Mode().Perm())); err != nil {
			return err
		}
		if err = unix.Mount(part, seen, "", unix.MS_BIND, ""); err != nil {
			return os.NewSyscallError("bind mount", err)
		}
	}
	return nil
}
