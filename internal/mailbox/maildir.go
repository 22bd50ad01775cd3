package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Options are the limits and habits of a delivery to a file.
type Options struct {
	MaxSize     int64         // largest mbox or maildir file in bytes; 0: no limit
	Locks       []Lock        // mbox only, in this order; dotlock always goes first
	Attempts    int           // tries to get a lock
	Delay       time.Duration // between tries
	Stale       time.Duration // age at which a foreign dotlock is removed
	StrictOwner bool          // refuse an mbox file that is not owned by this process's user
	SoftDotlock bool          // go on without dotlock when it cannot be made
	Hostname    string        // part of maildir names
	Code        string        // status code of faults that have none of their own; empty: 5.2.0
	Gather      *Gather       // maildir only: who syncs at the same time; nil: nobody
}

func (o Options) code() string {
	if o.Code == "" {
		return "5.2.0"
	}
	return o.Code
}

// sequence makes names unique among the deliveries of this process.
var sequence atomic.Uint64

// Maildir delivers the message to a maildir and returns when the entry in
// new/ is durable. The directories are made when they are missing. The work
// is done relative to open directories, so that renaming a directory on the
// way cannot lead the delivery somewhere else. When ctx ends before it returns,
// nothing is left in new/. Errors are *mail.Error.
func (m *Message) Maildir(ctx context.Context, path string, o Options) error {
	err := m.maildir(ctx, strings.TrimRight(path, "/"), o)
	if err != nil {
		return fault(err, o.code(), "maildir delivery failed: ")
	}
	return nil
}

func (m *Message) maildir(ctx context.Context, path string, o Options) error {
	o.Gather.begin()
	defer o.Gather.end()
	tmp, fresh, err := openMaildir(path, o)
	if err != nil {
		return err
	}
	defer unix.Close(tmp)
	unixTime := time.Now()
	tmpName := fmt.Sprintf("%d.P%dQ%d.%s", unixTime.Unix(), os.Getpid(), sequence.Add(1), hostPart(o.Hostname))
	fd, err := unix.Openat(tmp, tmpName, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		unix.Close(fresh)
		return fault(err, o.code(), "create maildir file %s: ", filepath.Join(path, "tmp", tmpName))
	}
	defer unix.Close(fresh)
	file := os.NewFile(uintptr(fd), tmpName)
	defer file.Close()
	moved := false
	defer func() {
		if !moved {
			unix.Unlinkat(tmp, tmpName, 0)
		}
	}()
	if err := m.Write(limited(file, 0, o.MaxSize), MaildirFormat); err != nil {
		return fault(err, o.code(), "error writing message: ")
	}
	ordered, err := settle(file)
	if err != nil {
		return fault(err, "4.3.0", "error writing message: ")
	}
	if err := interrupted(ctx); err != nil {
		return err
	}
	name, err := uniqueName(fd, unixTime, o.Hostname)
	if err != nil {
		return err
	}
	if moved, err = publish(tmp, tmpName, fresh, name, o); err != nil {
		return err
	}
	o.Gather.wait()
	if err := confirm(ctx, fd, fresh, ordered); err != nil {
		unix.Unlinkat(fresh, name, 0)
		return err
	}
	return nil
}

// publish gives the finished file its name in new/. A rename that keeps mail with
// the same name is cheaper than a link and an unlink, which is the way where file
// systems do not have it. moved tells that the old name is gone.
func publish(tmp int, tmpName string, fresh int, name string, o Options) (moved bool, err error) {
	err = unix.Renameat2(tmp, tmpName, fresh, name, unix.RENAME_NOREPLACE)
	moved = err == nil
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		err = unix.Linkat(tmp, tmpName, fresh, name, 0)
	}
	if err != nil {
		return false, fault(err, o.code(), "link to new/%s: ", name)
	}
	return moved, nil
}

// confirm makes the name in new/ durable, if somebody still wants to know.
func confirm(ctx context.Context, file, fresh int, ordered bool) error {
	if err := syncName(file, fresh, ordered); err != nil {
		return fault(err, "4.3.0", "sync of directory new: ")
	}
	if err := probe(file); err != nil {
		return fault(err, "4.3.0", "sync of directory new: ")
	}
	return interrupted(ctx)
}

// openMaildir opens tmp and new, making what is missing.
func openMaildir(path string, o Options) (tmp, fresh int, err error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	open := func(sub string) (int, error) {
		dir := filepath.Join(path, sub)
		fd, err := unix.Open(dir, flags, 0)
		if !errors.Is(err, unix.ENOENT) {
			return fd, err
		}
		for _, d := range []string{"cur", "new", "tmp"} {
			if err := makeDir(filepath.Join(path, d)); err != nil {
				return -1, err
			}
		}
		return unix.Open(dir, flags, 0)
	}
	if tmp, err = open("tmp"); err != nil {
		return -1, -1, fault(err, o.code(), "create maildir file %s/tmp/%s: ", path, hostPart(o.Hostname))
	}
	if fresh, err = open("new"); err != nil {
		unix.Close(tmp)
		return -1, -1, fault(err, o.code(), "create maildir file %s/new/%s: ", path, hostPart(o.Hostname))
	}
	return tmp, fresh, nil
}

// uniqueName is time, device, inode and microseconds: unique as long as the
// file exists, and of the same form as Postfix's names.
func uniqueName(fd int, t time.Time, host string) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d.V%xI%xM%d.%s", t.Unix(), st.Dev, st.Ino, t.Nanosecond()/1000, hostPart(host)), nil
}

// hostPart escapes the two bytes a maildir name must not have.
func hostPart(host string) string {
	if host == "" {
		host = "localhost"
	}
	return strings.ReplaceAll(strings.ReplaceAll(host, "/", "\\057"), ":", "\\072")
}

// limited fails with EFBIG before the file would grow beyond limit.
func limited(w io.Writer, size, limit int64) io.Writer {
	if limit <= 0 {
		return w
	}
	return &limitWriter{w: w, left: limit - size}
}

type limitWriter struct {
	w    io.Writer
	left int64
}

func (l *limitWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		return 0, unix.EFBIG
	}
	n, err := l.w.Write(p)
	l.left -= int64(n)
	return n, err
}
