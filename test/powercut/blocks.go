package main

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/test/blocklog"
	"posthaste/test/disk"
)

// perMoment is how many cuts there are for each moment of a block log: one at
// that moment, and the others after any write or flush.
const perMoment = 4

// flushPause is how long a disk takes for a flush.
const flushPause = time.Millisecond

// The disks of a block log.
const (
	queueDisk = iota
	mailDisk
	disks
)

// blocks is two disks, for the queue and for the mailboxes, all whose writes are
// logged. After a cut each has what was written before its last flush and any
// part of what was written since.
type blocks struct {
	dir     string
	random  *rand.Rand
	log     *blocklog.Log
	volumes [disks]volume
	replays [disks]*blocklog.Replay
	images  [disks]*os.File // what replays write to
	first   int             // event from which on cuts are made
	last    int
	list    []crash
}

func (b *blocks) pool() string { return filepath.Join(b.dir, "pool") }

// working is the image that a disk works on, durable the one that has what a cut
// cannot undo, and cut the one after a cut.
func (b *blocks) working(n int) string {
	return filepath.Join(b.pool(), fmt.Sprintf("working-%d.img", n))
}
func (b *blocks) durable(n int) string {
	return filepath.Join(b.pool(), fmt.Sprintf("durable-%d.img", n))
}
func (b *blocks) cut(n int) string { return filepath.Join(b.pool(), fmt.Sprintf("cut-%d.img", n)) }

func newBlocks(dir string, v variant, to paths, random *rand.Rand) (store, error) {
	b := &blocks{dir: dir, random: random}
	if err := newPool(dir, b.pool()); err != nil {
		return b, err
	}
	parts := [disks]part{queueDisk: spoolPart(to), mailDisk: mailPart(to)}
	for n := range b.volumes {
		b.volumes[n] = volume{top: filepath.Join(dir, fmt.Sprintf("disk%d", n)), v: v, parts: parts[n : n+1]}
		if err := disk.Make(b.working(n), diskSize, v.kind); err != nil {
			return b, err
		}
		if err := clone(b.working(n), b.durable(n)); err != nil {
			return b, err
		}
	}
	var err error
	b.log, err = blocklog.Serve(dir, filepath.Join(dir, "served"), flushPause, b.working(queueDisk), b.working(mailDisk))
	return b, err
}

func (b *blocks) begin() error {
	return b.each(func(n int, w *volume) error { return w.mount(b.log.Path(n), true) })
}

func (b *blocks) each(f func(n int, w *volume) error) error {
	for n := range b.volumes {
		if err := f(n, &b.volumes[n]); err != nil {
			return err
		}
	}
	return nil
}

func (b *blocks) settle() error {
	err := b.each(func(_ int, w *volume) error { return w.sync() })
	b.first = b.log.Len()
	return err
}

// moment notes a moment.
func (b *blocks) moment() error {
	c := crash{from: time.Now(), n: b.log.Len()}
	c.to = time.Now()
	b.list = append(b.list, c)
	b.last = c.n
	return nil
}

func (b *blocks) end() error {
	var failed error
	for n := range b.volumes {
		failed = errors.Join(failed, b.volumes[n].unmount())
	}
	return failed
}

// crashes are the moments, and others after events in between.
func (b *blocks) crashes() []crash {
	if b.volumes[queueDisk].v.control() || b.last <= b.first {
		return b.list // a negative control is made at moments
	}
	list := slices.Clone(b.list)
	for range (perMoment - 1) * len(b.list) {
		n := b.first + 1 + b.random.IntN(b.last-b.first)
		at := b.log.At(n - 1)
		list = append(list, crash{n: n, from: at, to: at})
	}
	slices.SortFunc(list, func(x, y crash) int { return cmp.Compare(x.n, y.n) })
	return list
}

func (b *blocks) show(c crash) (string, error) {
	what := ""
	err := b.each(func(n int, w *volume) error {
		if b.images[n] == nil {
			f, err := os.OpenFile(b.durable(n), os.O_RDWR, 0)
			if err != nil {
				return err
			}
			b.images[n], b.replays[n] = f, b.log.NewReplay(n, f)
		}
		if err := b.replays[n].Advance(c.n); err != nil {
			return err
		}
		var kept string
		var err error
		for _, atom := range []int{blocklog.Sector, blocklog.Block} {
			if kept, err = b.scatter(n, atom); err != nil {
				return err
			}
			if err = w.mount(b.cut(n), false); !tornSuperblock(err) {
				break
			}
		}
		what += fmt.Sprintf(" disk %d: %s;", n, kept)
		return err
	})
	return what, err
}

// tornSuperblock tells whether a file system did not survive the cut itself:
// the superblocks of ext4 and btrfs are larger than a sector and are believed
// to be written in one piece.
func tornSuperblock(err error) bool {
	return errors.Is(err, unix.EBADMSG) || errors.Is(err, unix.EUCLEAN) || errors.Is(err, unix.EINVAL)
}

// scatter makes the image of a disk after the cut.
func (b *blocks) scatter(n, atom int) (string, error) {
	if err := clone(b.durable(n), b.cut(n)); err != nil {
		return "", err
	}
	f, err := os.OpenFile(b.cut(n), os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	kept, err := b.replays[n].Scatter(f, atom, b.random)
	return kept, errors.Join(err, f.Close())
}

func (b *blocks) hide(crash) error {
	err := b.end()
	for n := range b.volumes {
		err = errors.Join(err, os.Remove(b.cut(n)))
	}
	return err
}

func (b *blocks) remove() error {
	var failed error
	for _, f := range b.images {
		if f != nil {
			failed = errors.Join(failed, f.Close())
		}
	}
	if b.log != nil {
		failed = errors.Join(failed, b.log.Close())
	}
	return errors.Join(failed, disk.Unmount(b.pool()), os.RemoveAll(b.dir))
}
