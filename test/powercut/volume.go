package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"posthaste/test/disk"
)

// volume is a file system under test, and the directories that lie on it.
type volume struct {
	top   string // where it is mounted
	v     variant
	parts []part
}

// part is a directory on a volume.
type part struct {
	name string // on the volume
	at   string // where it is seen
	mode os.FileMode
}

func spoolPart(to paths) part { return part{"spool", to.spool, 0o755} }
func mailPart(to paths) part  { return part{"mail", to.mail, 0o777} }

// mount shows an image of the volume in the places of its directories. working:
// to the system that works, not after a cut.
func (w *volume) mount(image string, working bool) error {
	if err := disk.Mount(image, w.top, w.v.kind, w.v.options); err != nil {
		return err
	}
	for _, p := range w.parts {
		from := filepath.Join(w.top, p.name)
		if working {
			if err := errors.Join(os.MkdirAll(from, 0o755), os.Chmod(from, p.mode)); err != nil {
				return err
			}
		}
		show := bind
		if working && w.v.blind {
			show = unsynced
		}
		if err := show(from, p.at); err != nil {
			return err
		}
	}
	return nil
}

func bind(from, to string) error {
	return os.NewSyscallError("bind mount", unix.Mount(from, to, "", unix.MS_BIND, ""))
}

// unsynced shows a directory in another place where no sync has an effect, for
// any program: a volatile overlay.
func unsynced(from, to string) error {
	below, work := from+".below", from+".work"
	if err := errors.Join(os.Mkdir(below, 0o755), os.Mkdir(work, 0o755)); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,volatile", below, from, work)
	return os.NewSyscallError("overlay mount", unix.Mount("overlay", to, "overlay", 0, options))
}

// sync makes everything on the volume durable.
func (w *volume) sync() error {
	f, err := os.Open(w.top)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd())))
}

func (w *volume) unmount() error {
	var dirs []string
	for _, p := range w.parts {
		dirs = append(dirs, p.at)
	}
	return disk.Unmount(append(dirs, w.top)...)
}

// newPool makes a file system in which files can be cloned, and mounts it.
func newPool(dir, mount string) error {
	image := filepath.Join(dir, "pool.img")
	if err := disk.Make(image, poolSize, "xfs", "-m", "reflink=1"); err != nil {
		return err
	}
	return disk.Mount(image, mount, "xfs", "")
}

// clone makes a file that shares all blocks with another, at one moment.
func clone(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	err = os.NewSyscallError("FICLONE", unix.IoctlFileClone(int(f.Fd()), int(source.Fd())))
	return errors.Join(err, f.Close())
}
