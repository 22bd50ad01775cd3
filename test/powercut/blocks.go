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

	"posthaste/test/disk"
)

// perMoment is how many cuts there are for each moment of a block log: one at
// that moment, and the others after any write or flush.
const perMoment = 4

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
	volumes [disks]volume
	life    *logged // while the system works
	again   *logged // while it recovers and the power is to be cut once more; nil: it is not
	first   int     // event from which on cuts are made
	last    int
	list    []crash
}

func (b *blocks) pool() string { return filepath.Join(b.dir, "pool") }

// working is the image that a disk works on, and cut the one after a cut.
func (b *blocks) working(n int) string { return b.image("working", n) }
func (b *blocks) cut(n int) string     { return b.image("cut", n) }

func (b *blocks) image(what string, n int) string {
	return filepath.Join(b.pool(), fmt.Sprintf("%s-%d.img", what, n))
}

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
	}
	var err error
	b.life, err = b.serve("life", b.working)
	return b, err
}

func (b *blocks) begin() error {
	return b.each(func(n int, w *volume) error { return w.mount(b.life.Path(n), true) })
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
	b.first = b.life.Len()
	return err
}

// moment notes a moment.
func (b *blocks) moment() error {
	c := crash{from: time.Now(), n: b.life.Len()}
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
		at := b.life.At(n - 1)
		list = append(list, crash{n: n, from: at, to: at})
	}
	slices.SortFunc(list, func(x, y crash) int { return cmp.Compare(x.n, y.n) })
	return list
}

// show makes the disks after a cut, and mounts them; those of one more cut are
// there already.
func (b *blocks) show(c crash) (what string, err error) {
	if c.again == 0 {
		what, err = b.scatter(b.life, c.n)
	}
	if err != nil {
		return what, err
	}
	return what, b.each(func(n int, w *volume) error { return w.mount(b.cut(n), false) })
}

// expose shows a cut on disks that log what is written to them.
func (b *blocks) expose(c crash) error {
	if _, err := b.scatter(b.life, c.n); err != nil {
		return err
	}
	var err error
	if b.again, err = b.serve("again", b.cut); err != nil {
		return err
	}
	return b.each(func(n int, w *volume) error { return w.mount(b.again.Path(n), false) })
}

// interrupt notes the moment of one more cut.
func (b *blocks) interrupt(c crash) (crash, error) {
	next := crash{n: c.n, again: c.again + 1, from: time.Now()}
	b.again.at = b.again.Len()
	next.to = time.Now()
	return next, nil
}

// conceal makes of what was exposed the disks after the cut that was noted.
func (b *blocks) conceal(crash) error {
	if b.again == nil {
		return nil
	}
	err := b.end()
	if err == nil {
		_, err = b.scatter(b.again, b.again.at)
	}
	err = errors.Join(err, b.again.close())
	b.again = nil
	return err
}

// hide unmounts the disks after a cut.
func (b *blocks) hide(crash) error {
	err := b.end()
	for n := range b.volumes {
		err = errors.Join(err, os.Remove(b.cut(n)))
	}
	return err
}

func (b *blocks) remove() error {
	err := errors.Join(b.again.close(), b.life.close())
	return errors.Join(err, disk.Unmount(b.pool()), os.RemoveAll(b.dir))
}
