package master

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// directory is one of the queue directory, with the mode that `postfix start`
// gives it.
type directory struct {
	name  string
	mode  fs.FileMode
	owner ownerKind
}

type ownerKind uint8

const (
	ownerRoot     ownerKind = iota
	ownerMail               // mail_owner, group as inherited
	ownerMailDrop           // mail_owner, setgid_group
)

// directories are what a queue directory consists of. Those that are there
// keep owner and mode: distributions have their own idea of some.
var directories = []directory{
	{"pid", 0o755, ownerRoot},
	{"active", 0o700, ownerMail},
	{"bounce", 0o700, ownerMail},
	{"corrupt", 0o700, ownerMail},
	{"defer", 0o700, ownerMail},
	{"deferred", 0o700, ownerMail},
	{"flush", 0o700, ownerMail},
	{"hold", 0o700, ownerMail},
	{"incoming", 0o700, ownerMail},
	{"journal", 0o700, ownerMail},
	{"listing", 0o700, ownerMail},
	{"private", 0o700, ownerMail},
	{"saved", 0o700, ownerMail},
	{"trace", 0o700, ownerMail},
	{"maildrop", 0o730, ownerMailDrop},
	{"public", 0o710, ownerMailDrop},
}

// makeRoot makes the queue directory itself when it is missing. Users must get
// through it to maildrop and public.
func makeRoot(path string) error {
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.Mkdir(path, 0o755)
	}
	if err == nil {
		err = syncDirectory(filepath.Dir(path))
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("queue directory: %w", err)
	}
	return nil
}

// syncDirectory makes the names in a directory durable. A file system that
// cannot sync directories says EINVAL; there is nothing better to do then.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}

// makeDirectories makes what is missing in the working directory, which is the
// queue directory, and the data directory. Those of the queue are durable when it
// returns, also when an earlier start was cut short: mail must not vanish with
// the directory that it is in.
func makeDirectories(dataDir string, o owner) error {
	for _, d := range append(directories[:len(directories):len(directories)], directory{dataDir, 0o700, ownerMail}) {
		err := os.Mkdir(d.name, d.mode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			if err = os.MkdirAll(filepath.Dir(d.name), 0o755); err == nil {
				err = os.Mkdir(d.name, d.mode)
			}
		}
		if err == nil && o.root {
			switch d.owner {
			case ownerMail:
				err = os.Chown(d.name, o.uid, -1)
			case ownerMailDrop:
				err = os.Chown(d.name, o.uid, o.drop)
			}
		}
		if err == nil {
			err = os.Chmod(d.name, d.mode) // whatever the umask made of it
		}
		if err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	if err := syncDirectory("."); err != nil {
		return fmt.Errorf("queue directory: %w", err)
	}
	return nil
}
