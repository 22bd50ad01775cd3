// Package disk makes file systems in image files and mounts them, for tests that
// need a file system of their own, or the image below one. It needs root. What
// it sets up goes away by itself once nobody uses it: a loop device when it is
// neither open nor mounted.
package disk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoDevice says that all loop devices are in use, and stay so.
var ErrNoDevice = errors.New("no free loop device")

// loopWait is how long a free loop device is waited for: there are few, and
// others use them too.
const loopWait = time.Minute

// Loop attaches a file to a free loop device. The caller closes the device once
// it is mounted. direct: reads and writes go past the page cache of the file.
func Loop(image string, direct bool) (*os.File, error) {
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for end := time.Now().Add(loopWait); ; time.Sleep(50 * time.Millisecond) {
		device, err := attach(f, direct)
		if err == nil {
			return device, nil
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("%w for %s: %w", ErrNoDevice, image, err)
		}
	}
}

// attach tries one device. Somebody else may take it first.
func attach(image *os.File, direct bool) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, os.NewSyscallError("LOOP_CTL_GET_FREE", err)
	}
	device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	c := unix.LoopConfig{Fd: uint32(image.Fd())}
	c.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	if direct {
		c.Info.Flags |= unix.LO_FLAGS_DIRECT_IO
	}
	copy(c.Info.File_name[:len(c.Info.File_name)-1], image.Name())
	if err := unix.IoctlLoopConfigure(int(device.Fd()), &c); err != nil {
		device.Close()
		return nil, os.NewSyscallError("LOOP_CONFIGURE", err)
	}
	return device, nil
}

// Mount mounts an image file by a loop device.
func Mount(image, dir, kind, options string) error {
	device, err := Loop(image, false)
	if err != nil {
		return err
	}
	defer device.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(device.Name(), dir, kind, 0, options); err != nil {
		return fmt.Errorf("mount %s on %s (%s, %s): %w", image, dir, kind, options, err)
	}
	return nil
}

// unmountWait is how long the last users of a file system may take to leave.
const unmountWait = 10 * time.Second

// Unmount unmounts directories, in order.
func Unmount(dirs ...string) error {
	var failed error
	for _, dir := range dirs {
		err := unix.Unmount(dir, 0)
		for end := time.Now().Add(unmountWait); err == unix.EBUSY && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
			err = unix.Unmount(dir, 0)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("unmount %s: %w", dir, err))
		}
	}
	return failed
}

// Make makes an image file of a size in bytes with a file system in it.
func Make(image string, size int64, kind string, options ...string) error {
	f, err := os.OpenFile(image, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return Format(image, kind, options...)
}

// Format makes a file system on a device or in an image file.
func Format(image, kind string, options ...string) error {
	if kind == "ext4" { // nothing is left to be written later
		options = append(options, "-E", "lazy_itable_init=0,lazy_journal_init=0")
	}
	out, err := exec.Command("mkfs."+kind, append(append([]string{"-q"}, options...), image)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mkfs.%s %s: %w: %s", kind, image, err, strings.TrimSpace(string(out)))
	}
	return nil
}
