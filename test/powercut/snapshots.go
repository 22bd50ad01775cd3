package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/test/disk"
)

// Sizes of image files, which are sparse.
const (
	poolSize = 8 << 30
	diskSize = 1 << 30
)

// snapshots is a disk that can be cloned at any moment: its image lies in an
// XFS with reflink. Dirty pages of the file system in the image are missing in
// a clone: it is what a power cut leaves on a disk that writes in order.
type snapshots struct {
	dir  string // of images and mounts
	v    variant
	to   paths
	list []crash
}

func (s *snapshots) pool() string         { return filepath.Join(s.dir, "pool") }
func (s *snapshots) image(n int) string   { return filepath.Join(s.pool(), fmt.Sprintf("cut-%d.img", n)) }
func (s *snapshots) current() string      { return filepath.Join(s.pool(), "disk.img") }
func (s *snapshots) top() string          { return filepath.Join(s.dir, "disk") }
func (s *snapshots) on(d string) string   { return filepath.Join(s.top(), d) }
func (s *snapshots) mount(i string) error { return disk.Mount(i, s.top(), s.v.kind, s.v.options) }

// newSnapshots makes the disk; to are the directories that lie on it.
func newSnapshots(dir string, v variant, to paths) (*snapshots, error) {
	s := &snapshots{dir: dir, v: v, to: to}
	pool := filepath.Join(dir, "pool.img")
	err := disk.Make(pool, poolSize, "xfs", "-m", "reflink=1")
	if err == nil {
		err = disk.Mount(pool, s.pool(), "xfs", "")
	}
	if err == nil {
		err = disk.Make(s.current(), diskSize, v.kind)
	}
	return s, err
}

func (s *snapshots) begin() error {
	if err := s.mount(s.current()); err != nil {
		return err
	}
	for _, p := range s.parts() {
		if err := errors.Join(os.MkdirAll(s.on(p.name), 0o755), os.Chmod(s.on(p.name), p.mode)); err != nil {
			return err
		}
		if !s.v.blind {
			if err := bind(s.on(p.name), p.at); err != nil {
				return err
			}
			continue
		}
		if err := unsynced(s.on(p.name), p.at); err != nil {
			return err
		}
	}
	return nil
}

// part is a directory that lies on the disk.
type part struct {
	name string // on the disk
	at   string // where it is seen
	mode os.FileMode
}

func (s *snapshots) parts() []part {
	parts := []part{{"spool", s.to.spool, 0o755}}
	if s.v.mailToo {
		parts = append(parts, part{"mail", s.to.mail, 0o777})
	}
	return parts
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

func (s *snapshots) settle() error { return syncfs(s.top()) }

func syncfs(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd())))
}

func (s *snapshots) moment() error {
	from, err := os.Open(s.current())
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(s.image(len(s.list)))
	if err != nil {
		return err
	}
	defer to.Close()
	c := crash{n: len(s.list), from: time.Now()}
	if err := unix.IoctlFileClone(int(to.Fd()), int(from.Fd())); err != nil {
		return os.NewSyscallError("FICLONE", err)
	}
	c.to = time.Now()
	s.list = append(s.list, c)
	return nil
}

func (s *snapshots) end() error { return s.unmount() }

func (s *snapshots) unmount() error {
	var dirs []string
	for _, p := range s.parts() {
		dirs = append(dirs, p.at)
	}
	return disk.Unmount(append(dirs, s.top())...)
}

func (s *snapshots) crashes() []crash { return s.list }

func (s *snapshots) show(c crash) error {
	if err := s.mount(s.image(c.n)); err != nil {
		return err
	}
	for _, p := range s.parts() {
		if err := bind(s.on(p.name), p.at); err != nil {
			return err
		}
	}
	return nil
}

func (s *snapshots) hide(c crash) error {
	return errors.Join(s.unmount(), os.Remove(s.image(c.n)))
}

func (s *snapshots) remove() error {
	return errors.Join(disk.Unmount(s.pool()), os.RemoveAll(s.dir))
}
