package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// RewriteFile replaces the contents of path by edit(contents), so that at any
// moment, also after a power cut, the file is the old or the new one as a
// whole. Mode and, if permitted, owner stay; a symbolic link stays and its
// target is replaced. Other processes that use RewriteFile on path wait. With
// nothing to change the file is left alone.
func RewriteFile(path string, edit func([]byte) ([]byte, error)) (err error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return openError(path, errors.Unwrap(err))
	}
	dir, err := os.Open(filepath.Dir(real))
	if err != nil {
		return openError(filepath.Dir(real), err)
	}
	defer dir.Close()
	// The directory is the lock: the file itself is about to be replaced.
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir.Name(), err)
	}
	old, err := readFile(real)
	if err != nil {
		return err
	}
	text, err := edit(old)
	if err != nil || bytes.Equal(text, old) {
		return err
	}
	tmp, err := os.CreateTemp(dir.Name(), "."+filepath.Base(real)+".*")
	if err != nil {
		return fmt.Errorf("open %s: %w", filepath.Join(dir.Name(), "."+filepath.Base(real)), err)
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	if err := fill(tmp, real, text); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("close %s: %w", tmp.Name(), err)
	}
	if err := os.Rename(tmp.Name(), real); err != nil {
		return err
	}
	return dir.Sync()
}

// fill writes text to tmp, gives it the mode and owner of like, and syncs it.
func fill(tmp *os.File, like string, text []byte) error {
	st, err := os.Stat(like)
	if err != nil {
		return err
	}
	if _, err := io.Copy(tmp, bytes.NewReader(text)); err != nil {
		return fmt.Errorf("write %s: %w", tmp.Name(), err)
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && (int(sys.Uid) != os.Geteuid() || int(sys.Gid) != os.Getegid()) {
		// Without the right to give the file away it becomes the editor's own,
		// as with any editor that renames into place.
		if err := tmp.Chown(int(sys.Uid), int(sys.Gid)); err != nil && !errors.Is(err, os.ErrPermission) {
			return err
		}
	}
	if err := tmp.Chmod(st.Mode().Perm()); err != nil {
		return err
	}
	return tmp.Sync()
}
