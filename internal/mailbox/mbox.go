package mailbox

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"posthaste/internal/mail"
)

// Warnings are what a delivery wants the operator to know though it succeeded.
type Warnings []string

// Mbox appends the message to the file at path, which is made when it is
// missing, and returns when it is durable. On any error, and when ctx ends before,
// the file is cut back to its old length. Devices such as /dev/null are written to without locks.
// Errors are *mail.Error; their text is the reason alone, for the caller to
// put the file's name in front.
func (m *Message) Mbox(ctx context.Context, path string, o Options) (Warnings, error) {
	l, warnings, err := LockMbox(ctx, path, o)
	if err != nil {
		return warnings, err
	}
	defer l.Close()
	if l.device {
		if err := m.Write(l.File, MboxFormat); err != nil {
			return warnings, fault(err, o.code(), "error writing message: ")
		}
		return warnings, nil
	}
	return warnings, m.appendTo(ctx, l.File, path, l.made, o)
}

// Locked is an mbox file that is open for appending and locked.
type Locked struct {
	File   *os.File
	unlock func() // removes the dotlock
	made   bool   // the file is new
	device bool
}

// Close gives the locks up and closes the file.
func (l *Locked) Close() {
	if l.File != nil {
		l.File.Close()
	}
	l.unlock()
}

// LockMbox opens the file at path, which is made when it is missing, and takes
// the locks. Devices are opened without locks. Errors are those of Mbox.
func LockMbox(ctx context.Context, path string, o Options) (l *Locked, warnings Warnings, err error) {
	l = &Locked{unlock: func() {}}
	defer func() {
		if err != nil {
			l.Close()
			l = nil
		}
	}()
	var st unix.Stat_t
	l.device = unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR
	if o.has(Dotlock) && !l.device {
		unlock, err := o.dotlock(ctx, path)
		switch {
		case err == nil:
			l.unlock = unlock
		case errors.Is(err, unix.EEXIST):
			return l, nil, fault(err, "4.2.0", "unable to create lock file %s.lock: ", path)
		case o.SoftDotlock:
			warnings = append(warnings, "unable to create lock file "+path+".lock: "+errorText(err))
		default:
			return l, nil, fault(err, o.code(), "unable to create lock file %s.lock: ", path)
		}
	}
	if l.File, l.made, err = openMbox(path, o, l.device); err != nil || l.device {
		return l, warnings, err
	}
	if err := o.kernelLocks(ctx, int(l.File.Fd())); err != nil {
		return l, warnings, fault(err, "4.2.0", "unable to lock for exclusive access: ")
	}
	return l, warnings, nil
}

// appendTo writes at the end of the locked file and syncs it.
func (m *Message) appendTo(ctx context.Context, file *os.File, path string, made bool, o Options) error {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return fault(err, "4.3.0", "seek: ")
	}
	if err := interrupted(ctx); err != nil {
		return err
	}
	if err = m.Write(limited(file, size, o.MaxSize), MboxFormat); err == nil {
		err = file.Sync()
	}
	if err == nil && made {
		err = syncPath(filepath.Dir(path))
	}
	if err == nil {
		err = probe(int(file.Fd()))
	}
	if err == nil {
		err = interrupted(ctx)
	}
	if err == nil {
		return nil
	}
	failed := fault(err, o.code(), "error writing message: ")
	// A cut that fails leaves half a message; nothing more can be done, but
	// the reason must show it.
	if cut := file.Truncate(size); cut != nil {
		failed.Err = cut
	} else if cut := file.Sync(); cut != nil {
		failed.Err = cut
	}
	return failed
}

// openMbox opens the file without following a link, and takes it only when it
// is a regular file with one name and, if wanted, of this user. What was
// opened is what is examined; the name is compared afterwards, so that it
// cannot have been swapped for a link on the way. made tells that the file is new.
func openMbox(path string, o Options, device bool) (file *os.File, made bool, err error) {
	const base = unix.O_WRONLY | unix.O_APPEND | unix.O_CLOEXEC | unix.O_NONBLOCK
	if device {
		file, err := openDevice(path, base|unix.O_NOCTTY, o)
		return file, false, err
	}
	for try := 0; try < 3; try++ {
		fd, err := unix.Open(path, base|unix.O_NOFOLLOW, 0)
		if errors.Is(err, unix.ENOENT) {
			made = true
			fd, err = unix.Open(path, base|unix.O_NOFOLLOW|unix.O_CREAT|unix.O_EXCL, 0o600)
			if errors.Is(err, unix.EEXIST) {
				made = false
				continue // somebody else made it just now
			}
			if err != nil {
				return nil, false, fault(err, o.code(), "cannot create file exclusively: ")
			}
		}
		if err != nil {
			return nil, false, openFault(err, o)
		}
		if err := checkMbox(fd, path, o); err != nil {
			unix.Close(fd)
			return nil, false, err
		}
		return os.NewFile(uintptr(fd), path), made, nil
	}
	return nil, false, refuse("4.2.0", "file comes and goes")
}

// openDevice opens what was a device a moment ago, and takes nothing else.
func openDevice(path string, flags int, o Options) (*os.File, error) {
	fd, err := unix.Open(path, flags, 0)
	if err != nil {
		return nil, fault(err, o.code(), "cannot open file: ")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
		unix.Close(fd)
		return nil, refuse("4.2.0", "file has been replaced while it was opened")
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openFault says in plain words that the name is a link or an unread fifo.
func openFault(err error, o Options) *mail.Error {
	if errors.Is(err, unix.ELOOP) {
		return refuse("5.2.0", "file is a symbolic link")
	}
	return fault(err, o.code(), "cannot open file: ")
}

func checkMbox(fd int, path string, o Options) *mail.Error {
	var open, named unix.Stat_t
	if err := unix.Fstat(fd, &open); err != nil {
		return fault(err, "4.3.0", "fstat: ")
	}
	switch {
	case open.Mode&unix.S_IFMT != unix.S_IFREG:
		return refuse("5.2.0", "file is not a regular file")
	case open.Nlink != 1:
		return refuse("5.2.0", "file has %d hard links", open.Nlink)
	case o.StrictOwner && int(open.Uid) != os.Geteuid():
		return refuse("4.2.0", "destination %s is not owned by recipient", path)
	}
	if err := unix.Lstat(path, &named); err != nil || named.Dev != open.Dev || named.Ino != open.Ino {
		return refuse("4.2.0", "file has been replaced while it was opened")
	}
	return nil
}
