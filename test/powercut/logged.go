package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/test/blocklog"
	"posthaste/test/disk"
)

// flushPause is how long a disk takes for a flush.
const flushPause = time.Millisecond

// logged is the disks while all that is written to them is logged.
type logged struct {
	*blocklog.Log
	dir     string // of the log
	durable [disks]string
	replays [disks]*blocklog.Replay
	images  [disks]*os.File // what replays write to
	at      int             // event at which the power is cut once more
}

// serve logs from now on what is written to images. Beside each it makes the one
// that has what a cut cannot undo.
func (b *blocks) serve(name string, image func(n int) string) (*logged, error) {
	l := &logged{dir: filepath.Join(b.dir, name)}
	if err := os.Mkdir(l.dir, 0o700); err != nil {
		return l, err
	}
	for n := range disks {
		l.durable[n] = b.image("durable-"+name, n)
		if err := clone(image(n), l.durable[n]); err != nil {
			return l, err
		}
	}
	var err error
	l.Log, err = blocklog.Serve(l.dir, filepath.Join(l.dir, "served"), flushPause, image(queueDisk), image(mailDisk))
	return l, err
}

// close ends the service and removes all but the images.
func (l *logged) close() (failed error) {
	if l == nil {
		return nil
	}
	for n, f := range l.images {
		if f != nil {
			failed = errors.Join(failed, f.Close())
		}
		os.Remove(l.durable[n])
	}
	if l.Log != nil {
		failed = errors.Join(failed, l.Log.Close())
	}
	return errors.Join(failed, os.RemoveAll(l.dir))
}

// scatter makes the images after a cut at an event of a log, and says what each
// disk has kept.
func (b *blocks) scatter(l *logged, event int) (what string, err error) {
	for n := range disks {
		if l.images[n] == nil {
			if l.images[n], err = os.OpenFile(l.durable[n], os.O_RDWR, 0); err != nil {
				return what, err
			}
			l.replays[n] = l.NewReplay(n, l.images[n])
		}
		if err = l.replays[n].Advance(event); err != nil {
			return what, err
		}
		var kept string
		for _, atom := range []int{blocklog.Sector, blocklog.Block} {
			if kept, err = b.scatterDisk(l, n, atom); err != nil {
				return what, err
			}
			if err = b.probe(n); !tornSuperblock(err) {
				break
			}
		}
		what += fmt.Sprintf(" disk %d: %s;", n, kept)
		if err != nil {
			return what, err
		}
	}
	return what, nil
}

func (b *blocks) scatterDisk(l *logged, n, atom int) (string, error) {
	if err := clone(l.durable[n], b.cut(n)); err != nil {
		return "", err
	}
	f, err := os.OpenFile(b.cut(n), os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	kept, err := l.replays[n].Scatter(f, atom, b.random)
	return kept, errors.Join(err, f.Close())
}

// probe tells whether the file system of a disk has survived a cut, on a copy.
func (b *blocks) probe(n int) error {
	image, dir := b.image("probe", n), filepath.Join(b.dir, "probe")
	if err := clone(b.cut(n), image); err != nil {
		return err
	}
	defer os.Remove(image)
	if err := disk.Mount(image, dir, b.volumes[n].v.kind, b.volumes[n].v.options); err != nil {
		return err
	}
	return disk.Unmount(dir)
}

// tornSuperblock tells whether a file system did not survive the cut itself:
// the superblocks of ext4 and btrfs are larger than a sector and are believed
// to be written in one piece.
func tornSuperblock(err error) bool {
	return errors.Is(err, unix.EBADMSG) || errors.Is(err, unix.EUCLEAN) || errors.Is(err, unix.EINVAL)
}
