package hash

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"posthaste/internal/table"
)

// Update changes an existing table, or makes one: change gets the entries
// there are and edits them. Updates of one table wait for each other; readers
// see the old file until the new one is whole. Nothing is written when change
// returns an error or false. A table that exists keeps its owner and mode.
func Update(path string, owner Owner, change func(*Builder) (bool, error)) error {
	lock, err := lockFile(path + ".db")
	if err != nil {
		return err
	}
	b := NewBuilder()
	if lock != nil {
		defer lock.Close()
		info, err := lock.Stat()
		if err != nil {
			return err
		}
		if owner, err = ownerOf(info), load(b, lock, info); err != nil {
			return fmt.Errorf("open database %s.db: %w", path, err)
		}
	}
	write, err := change(b)
	if err != nil || !write {
		return err
	}
	return b.WriteFile(path, owner)
}

// Change is Update for a table that must exist.
func Change(path string, change func(*Builder) (bool, error)) error {
	if _, err := os.Stat(path + ".db"); err != nil {
		return table.FileError("open database "+path+".db", err)
	}
	return Update(path, Owner{Mode: 0o644, UID: -1, GID: -1}, change)
}

// lockFile opens and locks the file that stands at name now: another writer
// may replace it while we wait for the lock. nil: there is none.
func lockFile(name string) (*os.File, error) {
	for {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, table.FileError("open database "+name, err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			f.Close()
			return nil, table.FileError("lock database "+name, err)
		}
		mine, err1 := f.Stat()
		there, err2 := os.Stat(name)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			return f, nil
		}
		f.Close()
	}
}

func load(b *Builder, f *os.File, info fs.FileInfo) error {
	t, err := NewTable(f, info.Size())
	if err != nil {
		return err
	}
	var setErr error
	err = t.Each(func(key, value string) bool {
		setErr = b.Set(key, value)
		return setErr == nil
	})
	return errors.Join(err, setErr)
}

func ownerOf(info fs.FileInfo) Owner {
	o := Owner{Mode: info.Mode().Perm(), UID: -1, GID: -1}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		o.UID, o.GID = int(st.Uid), int(st.Gid)
	}
	return o
}
