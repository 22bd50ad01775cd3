package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// Lock is a way to lock an mbox file.
type Lock string

// The locks of mailbox_delivery_lock.
const (
	Fcntl   Lock = "fcntl"
	Flock   Lock = "flock"
	Dotlock Lock = "dotlock"
)

// ParseLocks checks the names of a lock list.
func ParseLocks(names []string) ([]Lock, error) {
	var locks []Lock
	for _, n := range names {
		switch l := Lock(n); l {
		case Fcntl, Flock, Dotlock:
			locks = append(locks, l)
		default:
			return nil, fmt.Errorf("unknown mailbox lock %q: use fcntl, flock or dotlock", n)
		}
	}
	return locks, nil
}

func (o Options) has(l Lock) bool {
	for _, have := range o.Locks {
		if have == l {
			return true
		}
	}
	return false
}

// retry calls try until it succeeds, fails for another reason than that
// somebody else holds the lock, or the attempts are used up.
func (o Options) retry(ctx context.Context, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		busy := errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EEXIST)
		if err == nil || !busy || n >= max(o.Attempts, 1) {
			return err
		}
		timer := time.NewTimer(o.Delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// dotlock makes path.lock and returns how to remove it. O_EXCL never follows
// a link. A lock file older than o.Stale is one that nobody will remove.
func (o Options) dotlock(ctx context.Context, path string) (unlock func(), err error) {
	name := path + ".lock"
	err = o.retry(ctx, func() error {
		fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == nil {
			io.WriteString(fdWriter(fd), "0") // what mail readers expect in the file
			return unix.Close(fd)
		}
		var st unix.Stat_t
		if errors.Is(err, unix.EEXIST) && o.Stale > 0 && unix.Lstat(name, &st) == nil &&
			time.Since(time.Unix(st.Mtim.Unix())) > o.Stale {
			unix.Unlink(name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return func() { unix.Unlink(name) }, nil
}

type fdWriter int

func (fd fdWriter) Write(p []byte) (int, error) { return unix.Write(int(fd), p) }

// kernelLocks takes the locks that vanish when fd is closed. Open file
// description locks are used for fcntl: they exclude other processes' record
// locks as well as other deliveries of this process, which record locks do not.
func (o Options) kernelLocks(ctx context.Context, fd int) error {
	if o.has(Flock) {
		err := o.retry(ctx, func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
		if err != nil {
			return err
		}
	}
	if o.has(Fcntl) {
		whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
		return o.retry(ctx, func() error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &whole) })
	}
	return nil
}
