package hash

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"posthaste/internal/table"
)

// Builder collects the entries of a new table in memory.
type Builder struct {
	index   map[string]int
	entries []entry
}

type entry struct {
	key, value string
	deleted    bool
}

// NewBuilder returns an empty table.
func NewBuilder() *Builder { return &Builder{index: make(map[string]int)} }

// Len is the number of entries.
func (b *Builder) Len() int { return len(b.index) }

// Get returns the value a key has by now.
func (b *Builder) Get(key string) (string, bool) {
	i, ok := b.index[key]
	if !ok {
		return "", false
	}
	return b.entries[i].value, true
}

// Set adds an entry, or replaces its value. The error says that it is too large.
func (b *Builder) Set(key, value string) error {
	if len(key)+len(value) > MaxEntry {
		return fmt.Errorf("entry of %d bytes: the limit is %d", len(key)+len(value), MaxEntry)
	}
	if i, ok := b.index[key]; ok {
		b.entries[i].value = value
		return nil
	}
	b.index[key] = len(b.entries)
	b.entries = append(b.entries, entry{key: key, value: value})
	return nil
}

// Delete removes an entry and tells whether there was one.
func (b *Builder) Delete(key string) bool {
	i, ok := b.index[key]
	if ok {
		delete(b.index, key)
		b.entries[i] = entry{deleted: true}
	}
	return ok
}

// WriteTo writes the file to w.
func (b *Builder) WriteTo(w io.Writer) (int64, error) {
	slots := uint64(2)
	for slots < 2*uint64(len(b.index)) {
		slots *= 2
	}
	slotBytes := make([]byte, slots*slotSize)
	offset := uint64(headerSize + len(slotBytes))
	for _, e := range b.entries {
		if e.deleted {
			continue
		}
		h := sum(e.key)
		slot := h & (slots - 1)
		for binary.LittleEndian.Uint64(slotBytes[slot*slotSize+8:]) != 0 {
			slot = (slot + 1) & (slots - 1)
		}
		binary.LittleEndian.PutUint64(slotBytes[slot*slotSize:], h)
		binary.LittleEndian.PutUint64(slotBytes[slot*slotSize+8:], offset)
		offset += entrySize + uint64(len(e.key)+len(e.value))
	}
	out := bufio.NewWriterSize(w, 64<<10)
	out.Write(header{uint64(len(b.index)), slots, offset}.encode())
	out.Write(slotBytes)
	for _, e := range b.entries {
		if e.deleted {
			continue
		}
		var head [entrySize]byte
		binary.LittleEndian.PutUint32(head[:], uint32(len(e.key)))
		binary.LittleEndian.PutUint32(head[4:], uint32(len(e.value)))
		crc := crc32.Update(crc32.Checksum([]byte(e.key), castagnoli), castagnoli, []byte(e.value))
		binary.LittleEndian.PutUint32(head[8:], crc)
		out.Write(head[:])
		out.WriteString(e.key)
		out.WriteString(e.value)
	}
	return int64(offset), out.Flush() // the first error of any write above
}

// Owner is who a new file belongs to and who may read it. Negative ids leave
// the file with the writing user.
type Owner struct {
	Mode     fs.FileMode
	UID, GID int
}

// WriteFile replaces path.db in one step: after a crash there is the old file
// or the whole new one. When it returns nil, the new one is on disk.
func (b *Builder) WriteFile(path string, owner Owner) (err error) {
	name := path + ".db"
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return table.FileError("create "+name, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = table.FileError("write "+name, err)
		}
	}()
	if _, err = b.WriteTo(f); err != nil {
		return err
	}
	if owner.UID >= 0 && owner.GID >= 0 {
		if err = f.Chown(owner.UID, owner.GID); err != nil {
			return err
		}
	}
	if err = f.Chmod(owner.Mode); err != nil { // after chown, which may clear bits
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
