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
