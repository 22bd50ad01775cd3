package queue

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// DirFS is the real file system below a queue directory. It makes the system
// calls itself: package os would add an epoll call to every open, which shows
// at thousands of messages a second.
func DirFS(root string) FS { return dirFS(root) }

type dirFS string

func (d dirFS) path(name string) string { return filepath.Join(string(d), name) }

func (d dirFS) open(op, name string, flags int, mode fs.FileMode) (File, error) {
	for {
		fd, err := unix.Open(d.path(name), flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, uint32(mode.Perm()))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &fs.PathError{Op: op, Path: name, Err: err}
		}
		return &osFile{fd: fd, name: name}, nil
	}
}

func (d dirFS) Create(name string, mode fs.FileMode) (File, error) {
	return d.open("create", name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, mode)
}

func (d dirFS) Open(name string, write bool) (File, error) {
	flags := unix.O_RDONLY | unix.O_NONBLOCK // a fifo must not stop us
	if write {
		flags = unix.O_RDWR | unix.O_NONBLOCK
	}
	return d.open("open", name, flags, 0)
}

func (d dirFS) Append(name string, mode fs.FileMode) (File, error) {
	return d.open("open", name, unix.O_RDWR|unix.O_CREAT|unix.O_NONBLOCK, mode)
}

func (d dirFS) Rename(from, to string) error {
	if err := unix.Rename(d.path(from), d.path(to)); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

func (d dirFS) Remove(name string) error {
	err := unix.Unlink(d.path(name))
	if err == unix.EISDIR {
		return pathError("rmdir", name, unix.Rmdir(d.path(name)))
	}
	return pathError("unlink", name, err)
}

func (d dirFS) Mkdir(name string, mode fs.FileMode) error {
	return pathError("mkdir", name, unix.Mkdir(d.path(name), uint32(mode.Perm())))
}

func (d dirFS) Lstat(name string) (Stat, error) {
	var st unix.Stat_t
	if err := unix.Lstat(d.path(name), &st); err != nil {
		return Stat{}, pathError("lstat", name, err)
	}
	return statOf(&st), nil
}

func (d dirFS) SyncDir(name string) error {
	f, err := os.Open(d.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Syncer keeps a descriptor open: the kernel tells each open file once of a
// write that failed (errseq), and one opened later would not hear of it.
func (d dirFS) Syncer() (Syncer, error) {
	f, err := os.Open(string(d))
	if err != nil {
		return nil, err
	}
	return syncer{f}, nil
}

func (d dirFS) Room() (int64, error) {
	var st unix.Statfs_t
	err := unix.Statfs(string(d), &st)
	return int64(st.Bavail) * st.Bsize, pathError("statfs", ".", err)
}

type syncer struct{ *os.File }

func (s syncer) SyncAll() error {
	return pathError("syncfs", s.Name(), unix.Syncfs(int(s.Fd())))
}

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func statOf(st *unix.Stat_t) Stat {
	mode := fs.FileMode(st.Mode & 0o777)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	default:
		mode |= fs.ModeIrregular
	}
	return Stat{
		Mode: mode, Size: st.Size, MTime: time.Unix(st.Mtim.Sec, st.Mtim.Nsec),
		CTime: time.Unix(st.Ctim.Sec, st.Ctim.Nsec), ATime: time.Unix(st.Atim.Sec, st.Atim.Nsec), Inode: st.Ino, Links: uint64(st.Nlink), UID: st.Uid,
	}
}

// osFile is an open descriptor.
type osFile struct {
	fd   int
	name string
}

func (f *osFile) Fd() int { return f.fd }

func (f *osFile) ReadAt(b []byte, offset int64) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Pread(f.fd, b[done:], offset+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, pathError("read", f.name, err)
		}
		if n == 0 {
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}

func (f *osFile) WriteAt(b []byte, offset int64) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Pwrite(f.fd, b[done:], offset+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, pathError("write", f.name, err)
		}
		if n == 0 {
			return done, pathError("write", f.name, io.ErrShortWrite)
		}
		done += n
	}
	return done, nil
}

func (f *osFile) Close() error {
	fd := f.fd
	f.fd = -1
	return pathError("close", f.name, unix.Close(fd))
}

func (f *osFile) Sync() error { return pathError("fsync", f.name, unix.Fsync(f.fd)) }

// SyncEntry makes the name durable that a synced file was created or renamed
// under before that sync, without its directory. On the journalling file systems
// the sync of the file has done it; for others the whole file system is synced.
func (f *osFile) SyncEntry() error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(f.fd, &st); err == nil {
		switch st.Type {
		case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC:
			return nil
		}
	}
	return pathError("syncfs", f.name, unix.Syncfs(f.fd))
}

func (f *osFile) SyncData() error { return pathError("fdatasync", f.name, unix.Fdatasync(f.fd)) }

func (f *osFile) Chmod(mode fs.FileMode) error {
	return pathError("chmod", f.name, unix.Fchmod(f.fd, uint32(mode.Perm())))
}

// Probe asks twice: ext4 finds out with the first change that it has to stop,
// loses that one without a word, and refuses the second.
func (f *osFile) Probe() error {
	err := unix.Fchown(f.fd, -1, -1)
	if err == nil {
		err = unix.Fchown(f.fd, -1, -1)
	}
	return pathError("chown", f.name, err)
}

func (f *osFile) SetTimes(mtime time.Time) error {
	t := unix.NsecToTimeval(mtime.UnixNano())
	return pathError("utimes", f.name, unix.Futimes(f.fd, []unix.Timeval{t, t}))
}

func (f *osFile) Truncate(size int64) error {
	return pathError("truncate", f.name, unix.Ftruncate(f.fd, size))
}

func (f *osFile) Stat() (Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return Stat{}, pathError("fstat", f.name, err)
	}
	return statOf(&st), nil
}

func (f *osFile) TryLock() (bool, error) {
	err := unix.Flock(f.fd, unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return false, nil
	}
	return err == nil, pathError("lock", f.name, err)
}
