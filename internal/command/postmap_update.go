package command

import (
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"posthaste/internal/config"
	"posthaste/internal/table"
	"posthaste/internal/table/hash"
	"posthaste/internal/table/source"
)

// update writes a table anew from its source, or with -i adds what standard
// input has.
func (t *tableTool) update(spec string) error {
	path, err := indexed(spec, "bulk-mode creation")
	if err != nil {
		return err
	}
	if t.incremental {
		data, err := source.ReadAll("standard input", t.env.Stdin)
		if err != nil {
			return err
		}
		return hash.Update(path, hash.Owner{Mode: 0o644, UID: -1, GID: -1}, func(b *hash.Builder) (bool, error) {
			return true, t.fill(b, path, data, os.Geteuid())
		})
	}
	f, err := os.Open(path)
	if err != nil {
		return table.FileError("open "+path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return table.FileError("open "+path, err)
	case info.IsDir():
		return fmt.Errorf("open %s: Is a directory", path)
	}
	data, err := source.ReadAll(path, f)
	if err != nil {
		return err
	}
	b := hash.NewBuilder()
	if err := t.fill(b, path, data, uidOf(info)); err != nil {
		return err
	}
	return b.WriteFile(path, t.owner(info))
}

// owner says who gets the new file: root leaves it to the owner of the source,
// so that a user's table stays the user's (unless -o); who else may read it
// is as for the source (unless -p).
func (t *tableTool) owner(info fs.FileInfo) hash.Owner {
	o := hash.Owner{Mode: 0o644, UID: -1, GID: -1}
	if !t.defaultMode {
		o.Mode = 0o600 | info.Mode().Perm()&0o044
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 && !t.keepRoot {
		o.UID, o.GID = int(st.Uid), int(st.Gid)
	}
	return o
}

func uidOf(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return os.Geteuid()
}

// fill adds the entries of a source to b. uid is the owner of the source.
func (t *tableTool) fill(b *hash.Builder, path string, data []byte, uid int) error {
	opts := t.tableOptions()
	parse := source.Entries
	if t.aliases {
		parse = source.Aliases
	}
	err := parse(path, data, t.utf8, t.warn, func(e source.Entry) error {
		if t.fileValues {
			value, err := readValueFiles(e.Value, uid, t.keepRoot)
			if err != nil {
				t.warn("%s, line %d: %s: skipping this entry", path, e.Line, err)
				return nil
			}
			e.Value = value
		}
		key := opts.Key(e.Key)
		if _, twice := b.Get(key); twice && !t.replace {
			if !t.ignore {
				t.warn("%s.db: duplicate entry: \"%s\"", path, key)
			}
			return nil
		}
		return b.Set(key, e.Value)
	})
	if err != nil || !t.aliases {
		return err
	}
	return t.sign(b)
}

// sign adds the entries by which Sendmail and NIS know an alias database.
func (t *tableTool) sign(b *hash.Builder) error {
	for _, e := range [][2]string{
		{"@", "@"},
		{"YP_LAST_MODIFIED", fmt.Sprintf("%010d", time.Now().Unix())},
		{"YP_MASTER_NAME", t.hostname},
	} {
		if err := b.Set(e[0], e[1]); err != nil {
			return err
		}
	}
	return nil
}

// readValueFiles is -F: the files in the list, with a newline between them, as
// base64. Root reads for the owner of a source only what that owner may read,
// or else a user could make root publish any file.
func readValueFiles(list string, uid int, keepRoot bool) (string, error) {
	var all strings.Builder
	for i, name := range config.SplitList(list) {
		if i > 0 {
			all.WriteByte('\n')
		}
		if err := readValueFile(&all, name, uid, keepRoot || os.Geteuid() != 0 || uid == 0); err != nil {
			return "", err
		}
	}
	return base64.StdEncoding.EncodeToString([]byte(all.String())), nil
}

func readValueFile(to io.Writer, name string, uid int, trusted bool) error {
	f, err := os.Open(name)
	if err != nil {
		return table.FileError("open "+name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return table.FileError("open "+name, err)
	}
	if !trusted && uidOf(info) != uid && info.Mode().Perm()&0o004 == 0 {
		return fmt.Errorf("open %s: not readable for the owner of the table (uid %s)", name, strconv.Itoa(uid))
	}
	data, err := source.ReadAll(name, f)
	if err != nil {
		return err
	}
	_, err = to.Write(data)
	return err
}
