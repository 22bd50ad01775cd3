package mailbox

import (
	"context"
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

// settle prepares a finished file for its name: after a crash, whoever sees the
// name must see the whole file. A sync does that everywhere, at the price of a
// commit of the file system. ext4 and XFS commit changes in their order, so it is
// enough there that the content is on its way to its place (sync_file_range(2)): the
// commit that has the name has the file too. ordered tells that this is so. ext2 has
// the number of ext4 as well, but no order: what a crash leaves there is for fsck(8).
func settle(file *os.File) (ordered bool, err error) {
	fd := int(file.Fd())
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) == nil && (st.Type == unix.EXT4_SUPER_MAGIC || st.Type == unix.XFS_SUPER_MAGIC) {
		const all = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
		err := unix.SyncFileRange(fd, 0, 0, all)
		if err != unix.ENOSYS {
			return true, os.NewSyscallError("sync_file_range", err)
		}
	}
	return false, file.Sync()
}

// syncName makes the new name of a settled file in a directory durable. Where
// changes are committed in their order a sync of the file does that, since a rename
// changes the file as well, in the same change. It costs less than one of the
// directory, for which ext4 begins a commit even when nothing is left to commit.
func syncName(file, dir int, ordered bool) error {
	if ordered {
		return os.NewSyscallError("fsync", unix.Fsync(file))
	}
	return syncDir(dir)
}

// interrupted tells that nobody waits for the result any more. Who asked has
// died or was told to leave, so the message is delivered again: it must not be
// in the mailbox already.
func interrupted(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return refuse("4.3.0", "delivery was interrupted")
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
