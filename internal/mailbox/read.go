package mailbox

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// File is a small file of a user, read as that user.
type File struct {
	Data  []byte
	Mode  uint32 // as in stat
	UID   uint32
	GID   uint32
	Found bool // false: there is no such file (or not for this user)
	Whole bool // false: longer than the limit, Data is cut
}

// ReadFile reads at most limit bytes of a regular file. A fifo or a device is
// not waited for, nor is a symbolic link followed: these come back with their
// Mode and without data.
func ReadFile(path string, limit int64) (File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR:
		return File{}, nil
	case unix.ELOOP:
		return File{Found: true, Mode: unix.S_IFLNK | 0o777}, nil
	case unix.ENXIO:
		return File{Found: true, Mode: unix.S_IFSOCK | 0o777}, nil
	default:
		return File{}, &os.PathError{Op: "open file", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return File{}, &os.PathError{Op: "fstat", Path: path, Err: err}
	}
	out := File{Mode: st.Mode, UID: st.Uid, GID: st.Gid, Found: true}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return out, nil
	}
	out.Data, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return File{}, &os.PathError{Op: "read", Path: path, Err: err}
	}
	out.Whole = int64(len(out.Data)) <= limit
	if !out.Whole {
		out.Data = out.Data[:limit]
	}
	return out, nil
}

// Regular tells whether it was a plain file.
func (f File) Regular() bool { return f.Mode&unix.S_IFMT == unix.S_IFREG }
