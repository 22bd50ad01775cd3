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
type disk struct{ image, loop, mount string }

// newDisk makes and mounts a file system, ext4 or xfs. It needs root.
func newDisk(kind string) (d *disk, err error) {
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
	// Blocks that are not there yet would be found during the measurement.
	zeros := make([]byte, 4<<20)
	for range diskSize / len(zeros) {
		if _, err := f.Write(zeros); err != nil {
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if _, err := command("mkfs."+kind, "-q", d.image); err != nil {
		return nil, err
	}
	if d.loop, err = command("losetup", "--direct-io=on", "-f", "--show", d.image); err != nil {
		return nil, err
	}
	if err := os.Mkdir(d.mount, 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount(d.loop, d.mount, kind, 0, ""); err != nil {
		return nil, fmt.Errorf("mount %s: %w", d.loop, err)
	}
	return d, os.Chmod(d.mount, 0o1777)
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
