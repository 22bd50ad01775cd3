package mailbox

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// syncDir makes the entries of an open directory durable. A file system that
// cannot sync directories says EINVAL; there is nothing better to do then.
func syncDir(fd int) error {
	if err := unix.Fsync(fd); err != nil && !errors.Is(err, unix.EINVAL) {
		return os.NewSyscallError("fsync", err)
	}
	return nil
}

// probe fails when the file system has stopped, because it could not write its
// journal when another process asked for that: what was new is lost, and only
// that process was told. Nothing is changed but the file's time of change;
// twice, since ext4 finds out with the first change and refuses the second.
// File systems that do not know this change at all have their word believed.
func probe(fd int) error {
	err := unix.Fchown(fd, -1, -1)
	if err == nil {
		err = unix.Fchown(fd, -1, -1)
	}
	switch err {
	case unix.EPERM, unix.EINVAL, unix.EOPNOTSUPP, unix.ENOSYS:
		return nil
	}
	return os.NewSyscallError("fchown", err)
}

func syncPath(dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return syncDir(fd)
}

// makeDir makes a directory and those above it, private to the user, and
// syncs each directory that got a new entry. When another process makes the
// directory in between, that is as good.
func makeDir(path string) error {
	err := unix.Mkdir(path, 0o700)
	if errors.Is(err, unix.ENOENT) {
		if parent := filepath.Dir(path); parent != path {
			if err := makeDir(parent); err != nil {
				return err
			}
			err = unix.Mkdir(path, 0o700)
		}
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return syncPath(filepath.Dir(path))
}
