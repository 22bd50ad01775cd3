package hash

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"posthaste/internal/table"
)

// Table is an open file. It is safe for concurrent use; it does not notice
// that the file was replaced (package open does).
type Table struct {
	file io.ReaderAt
	done io.Closer
	head header
}

// Open opens the table of source path: the file path.db. The error is one
// line for the log, with the file's name.
func Open(path string) (*Table, error) {
	name := path + ".db"
	f, err := os.Open(name)
	if err != nil {
		return nil, table.FileError("open database "+name, err)
	}
	info, err := f.Stat()
	if err == nil {
		var t *Table
		if t, err = NewTable(f, info.Size()); err == nil {
			t.done = f
			return t, nil
		}
	}
	f.Close()
	if errors.Is(err, ErrBerkeleyDB) {
		return nil, fmt.Errorf("open database %s %w", name, err)
	}
	return nil, fmt.Errorf("open database %s: %w", name, err)
}

// NewTable reads a table of the given size from f; Open is for files.
func NewTable(f io.ReaderAt, size int64) (*Table, error) {
	buf := make([]byte, headerSize)
	n, err := f.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	h, err := decodeHeader(buf[:n], size)
	if err != nil {
		return nil, err
	}
	return &Table{file: f, head: h}, nil
}

// Close releases the file. No lookup may be under way.
func (t *Table) Close() error {
	if t.done == nil {
		return nil
	}
	return t.done.Close()
}

// slotsAtOnce is how many slots one read fetches; chains are nearly always shorter.
const slotsAtOnce = 16

// Lookup finds a key. Its cost does not depend on the size of the table.
func (t *Table) Lookup(_ context.Context, key string) (string, bool, error) {
	want := sum(key)
	slot := want & (t.head.slots - 1)
	var buf [slotsAtOnce * slotSize]byte
	for tried := uint64(0); tried < t.head.slots; {
		n := min(slotsAtOnce, t.head.slots-slot)
		piece := buf[:n*slotSize]
		if err := t.readAt(piece, headerSize+slot*slotSize); err != nil {
			return "", false, err
		}
		for ; len(piece) > 0; piece = piece[slotSize:] {
			offset := binary.LittleEndian.Uint64(piece[8:])
			if offset == 0 {
				return "", false, nil
			}
			if binary.LittleEndian.Uint64(piece) != want {
				continue
			}
			k, v, _, err := t.entry(offset)
			if err != nil {
				return "", false, err
			}
			if k == key {
				return v, true, nil
			}
		}
		tried += n
		slot = (slot + n) & (t.head.slots - 1)
	}
	return "", false, errDamaged // a whole table has empty slots
}

// Each lists the entries in the order in which they were written.
func (t *Table) Each(yield func(key, value string) bool) error {
	offset := headerSize + t.head.slots*slotSize
	for range t.head.entries {
		k, v, size, err := t.entry(offset)
		if err != nil {
			return err
		}
		if !yield(k, v) {
			return nil
		}
		offset += size
	}
	return nil
}

// entry reads the entry at offset and tells how long it is.
func (t *Table) entry(offset uint64) (key, value string, size uint64, err error) {
	if offset < headerSize+t.head.slots*slotSize || offset > t.head.size-entrySize {
		return "", "", 0, errDamaged
	}
	var small [512]byte // most entries come with their lengths in one read
	got := small[:min(uint64(len(small)), t.head.size-offset)]
	if err := t.readAt(got, offset); err != nil {
		return "", "", 0, err
	}
	keyLen, valueLen := binary.LittleEndian.Uint32(got), binary.LittleEndian.Uint32(got[4:])
	length := uint64(keyLen) + uint64(valueLen)
	if length > MaxEntry || length > t.head.size-offset-entrySize {
		return "", "", 0, errDamaged
	}
	text := got[entrySize:]
	if uint64(len(text)) < length {
		text = make([]byte, length)
		if err := t.readAt(text, offset+entrySize); err != nil {
			return "", "", 0, err
		}
	}
	text = text[:length]
	if crc32.Checksum(text, castagnoli) != binary.LittleEndian.Uint32(got[8:]) {
		return "", "", 0, errDamaged
	}
	return string(text[:keyLen]), string(text[keyLen:]), entrySize + length, nil
}

func (t *Table) readAt(b []byte, offset uint64) error {
	n, err := t.file.ReadAt(b, int64(offset))
	if n == len(b) {
		return nil
	}
	if err == io.EOF || err == nil {
		return errDamaged
	}
	return err
}
