package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// diskSize is enough for the queues of a run.
const diskSize = 2 << 30

// disk is a file system of its own for a measurement, in an image file: both
// systems then work on the same one, freshly made, whatever the machine has.
type disk struct{ image, loop, mount, kind string }

// newDisk makes and mounts a file system, ext4 or xfs, with options for mkfs. It
// needs root. A size of 0 is enough for the queues of a run, and its blocks are
// all there; others are found when they are needed.
func newDisk(kind string, size int64, options ...string) (d *disk, err error) {
	dir, err := os.MkdirTemp("", "load-disk-")
	if err != nil {
		return nil, err
	}
	d = &disk{image: filepath.Join(dir, "image"), mount: filepath.Join(dir, "mount")}
	defer func() {
		if err != nil {
			d.remove()
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil { // the systems' users must get through
		return nil, err
	}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > 0 {
		err = f.Truncate(size)
	} else {
		err = fill(f)
	}
	if err != nil {
		return nil, err
	}
	if _, err := command("mkfs."+kind, append(options, "-q", d.image)...); err != nil {
		return nil, err
	}
	if d.loop, err = command("losetup", "--direct-io=on", "-f", "--show", d.image); err != nil {
		return nil, err
	}
	if err := os.Mkdir(d.mount, 0o755); err != nil {
		return nil, err
	}
	d.kind = kind
	if err := d.attach(); err != nil {
		return nil, err
	}
	return d, os.Chmod(d.mount, 0o1777)
}

// fill writes the blocks of an image: those that are not there yet would be
// found during the measurement.
func fill(f *os.File) error {
	zeros := make([]byte, 4<<20)
	for range diskSize / len(zeros) {
		if _, err := f.Write(zeros); err != nil {
			return err
		}
	}
	return f.Sync()
}

func (d *disk) attach() error {
	if err := unix.Mount(d.loop, d.mount, d.kind, 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", d.loop, err)
	}
	return nil
}

// forget drops what of the file system is in memory, as a boot does. Nobody may
// have a file open.
func (d *disk) forget() error {
	if err := unix.Unmount(d.mount, 0); err != nil {
		return fmt.Errorf("unmount %s: %w", d.mount, err)
	}
	return d.attach()
}

func (d *disk) remove() {
	unix.Unmount(d.mount, unix.MNT_DETACH)
	if d.loop != "" {
		command("losetup", "-d", d.loop)
	}
	os.RemoveAll(filepath.Dir(d.image))
}

func command(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
