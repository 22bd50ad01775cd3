package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"posthaste/test/disk"
)

// diskSize is enough for the queues of a run.
const diskSize = 2 << 30

// volume is a file system of its own for a measurement, in an image file: both
// systems then work on the same one, freshly made, whatever the machine has.
type volume struct {
	image, mount, kind string
	loop               *os.File
}

// newVolume makes and mounts a file system, ext4 or xfs, with options for mkfs, in
// a directory. It needs root. A size of 0 is enough for the queues of a run, and its blocks are
// all there; others are found when they are needed.
func newVolume(dir, kind string, size int64, options ...string) (d *volume, err error) {
	d = &volume{image: filepath.Join(dir, "image"), mount: filepath.Join(dir, "mount")}
	defer func() {
		if err != nil {
			d.remove()
		}
	}()
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
	if err := disk.Format(d.image, kind, options...); err != nil {
		return nil, err
	}
	if d.loop, err = disk.Loop(d.image, true); err != nil {
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

func (d *volume) attach() error {
	if err := unix.Mount(d.loop.Name(), d.mount, d.kind, 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", d.image, err)
	}
	return nil
}

// forget drops what of the file system is in memory, as a boot does. Nobody may
// have a file open.
func (d *volume) forget() error {
	if err := unix.Unmount(d.mount, 0); err != nil {
		return fmt.Errorf("unmount %s: %w", d.mount, err)
	}
	return d.attach()
}

func (d *volume) remove() {
	unix.Unmount(d.mount, unix.MNT_DETACH)
	if d.loop != nil {
		d.loop.Close() // with the last use the device goes
	}
	os.Remove(d.image)
}
