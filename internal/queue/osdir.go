package queue

import (
	"bytes"
	"encoding/binary"
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

// direntHead is what stands in front of a name in a directory entry of the
// kernel: inode, offset, length of the entry, type (getdents64(2)).
const direntHead = 8 + 8 + 2 + 1

// ReadDir makes the system calls itself: package os would make several objects
// of each entry, and keep the inode to itself.
func (d dirFS) ReadDir(name string, each func(DirEntry) bool) error {
	fd, err := unix.Open(d.path(name), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return pathError("open", name, err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return pathError("getdents", name, err)
		}
		for rest := buf[:n]; len(rest) > direntHead; {
			size := int(binary.NativeEndian.Uint16(rest[16:]))
			if size <= direntHead || size > len(rest) {
				break
			}
			e, kind := dirEntry(rest[:size]), rest[direntHead-1]
			rest = rest[size:]
			if e.Name == "." || e.Name == ".." || !d.kind(name, &e, kind) {
				continue
			}
			if !each(e) {
				return nil
			}
		}
	}
}

func dirEntry(b []byte) DirEntry {
	text, _, _ := bytes.Cut(b[direntHead:], []byte{0})
	return DirEntry{Name: string(text), Inode: binary.NativeEndian.Uint64(b)}
}

// kind sets what kind of file an entry is; some file systems do not tell. false:
// it is gone.
func (d dirFS) kind(dir string, e *DirEntry, kind byte) bool {
	switch kind {
	case unix.DT_DIR:
		e.Dir = true
	case unix.DT_REG:
		e.Regular = true
	case unix.DT_UNKNOWN:
		st, err := d.Lstat(dir + "/" + e.Name)
		if err != nil {
			return false
		}
		e.Dir, e.Regular = st.Mode.IsDir(), st.Mode.IsRegular()
	}
	return true
}
