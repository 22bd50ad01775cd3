package queue

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// osDir is an open directory of the real file system.
type osDir struct {
	fd   int
	name string
}

// OpenDir opens a directory to look at many of its files.
func (d dirFS) OpenDir(name string) (Dir, error) {
	fd, err := unix.Open(d.path(name), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return osDir{fd, name}, nil
}

func (d osDir) Close() error { return pathError("close", d.name, unix.Close(d.fd)) }

func (d osDir) Lstat(name string) (Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Stat{}, pathError("lstat", d.name+"/"+name, err)
	}
	return statOf(&st), nil
}

// Open asks for no time of access, which is for the owner and root only: a
// retry time lies in the future, and with relatime each reading would then
// change the inode.
func (d osDir) Open(name string) (File, error) {
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOFOLLOW
	for extra := unix.O_NOATIME; ; {
		fd, err := unix.Openat(d.fd, name, flags|extra, 0)
		switch {
		case err == unix.EINTR:
		case err == unix.EPERM && extra != 0:
			extra = 0
		case err != nil:
			return nil, &fs.PathError{Op: "open", Path: d.name + "/" + name, Err: err}
		default:
			return &osFile{fd: fd, name: name}, nil
		}
	}
}
