package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

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
	one  volume
	list []crash
}

func (s *snapshots) pool() string    { return filepath.Join(s.dir, "pool") }
func (s *snapshots) current() string { return filepath.Join(s.pool(), "disk.img") }

// image is what a cut left.
func (s *snapshots) image(c crash) string {
	return filepath.Join(s.pool(), fmt.Sprintf("cut-%d-%d.img", c.n, c.again))
}

// newSnapshots makes the disk; to are the directories that lie on it.
func newSnapshots(dir string, v variant, to paths, _ *rand.Rand) (store, error) {
	s := &snapshots{dir: dir, one: volume{top: filepath.Join(dir, "disk"), v: v, parts: []part{spoolPart(to)}}}
	if v.mailToo {
		s.one.parts = append(s.one.parts, mailPart(to))
	}
	err := newPool(dir, s.pool())
	if err == nil {
		err = disk.Make(s.current(), diskSize, v.kind)
	}
	return s, err
}

func (s *snapshots) begin() error  { return s.one.mount(s.current(), true) }
func (s *snapshots) settle() error { return s.one.sync() }
func (s *snapshots) end() error    { return s.one.unmount() }

func (s *snapshots) moment() error {
	c, err := s.take(s.current(), crash{n: len(s.list)})
	s.list = append(s.list, c)
	return err
}

// take clones an image for a crash.
func (s *snapshots) take(image string, c crash) (crash, error) {
	c.from = time.Now()
	err := clone(image, s.image(c))
	c.to = time.Now()
	return c, err
}

func (s *snapshots) expose(c crash) error {
	_, err := s.show(c)
	return err
}

func (s *snapshots) conceal(c crash) error { return s.hide(c) }

func (s *snapshots) interrupt(c crash) (crash, error) {
	return s.take(s.image(c), crash{n: c.n, again: c.again + 1})
}

func (s *snapshots) crashes() []crash { return s.list }

func (s *snapshots) show(c crash) (string, error) {
	return "", s.one.mount(s.image(c), false)
}

func (s *snapshots) hide(c crash) error {
	return errors.Join(s.one.unmount(), os.Remove(s.image(c)))
}

func (s *snapshots) remove() error {
	return errors.Join(disk.Unmount(s.pool()), os.RemoveAll(s.dir))
}
