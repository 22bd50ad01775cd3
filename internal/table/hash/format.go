// Package hash is the indexed file behind `hash:` and `btree:` tables: written
// whole by postmap(1) and postalias(1), never changed afterwards, replaced by
// rename. It reads and writes SOURCE.db and its temporary neighbour, nothing else.
//
// The format, all numbers little-endian:
//
//	 0  magic, 16 bytes
//	16  number of entries, 8 bytes
//	24  number of slots, 8 bytes: a power of two, at least twice the entries
//	32  file size, 8 bytes
//	40  zero, 20 bytes
//	60  CRC-32C of the bytes before, 4 bytes
//	64  slots: hash of the key (FNV-1a), 8 bytes; offset of its entry or 0, 8 bytes
//	    entries: key length, value length, CRC-32C of key and value, 4 bytes each; key; value
//
// A key is found at slot hash mod slots, or in one of the slots that follow up
// to an empty one: a lookup reads one piece of the slots and one entry.
package hash

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	magic      = "Posthaste hash1\n"
	headerSize = 64
	slotSize   = 16
	entrySize  = 12

	// MaxEntry bounds key and value together, in bytes.
	MaxEntry = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrBerkeleyDB marks a file that an earlier mail system's postmap wrote.
var ErrBerkeleyDB = errors.New("is a Berkeley DB file")

var errDamaged = errors.New("damaged file: run postmap")

type header struct{ entries, slots, size uint64 }

func (h header) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	binary.LittleEndian.PutUint64(b[16:], h.entries)
	binary.LittleEndian.PutUint64(b[24:], h.slots)
	binary.LittleEndian.PutUint64(b[32:], h.size)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// decodeHeader checks the beginning of a file of the given size.
func decodeHeader(b []byte, size int64) (header, error) {
	if isBerkeleyDB(b) {
		return header{}, fmt.Errorf("%w: run postmap", ErrBerkeleyDB)
	}
	if len(b) < headerSize || string(b[:len(magic)]) != magic {
		return header{}, errors.New("not a Posthaste hash file: run postmap")
	}
	h := header{
		entries: binary.LittleEndian.Uint64(b[16:]),
		slots:   binary.LittleEndian.Uint64(b[24:]),
		size:    binary.LittleEndian.Uint64(b[32:]),
	}
	room := uint64(size-headerSize) / slotSize
	switch {
	case binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli),
		h.size != uint64(size), h.slots == 0, h.slots&(h.slots-1) != 0, h.slots > room, h.entries >= h.slots:
		return header{}, errDamaged
	}
	return h, nil
}

// isBerkeleyDB looks for the magic numbers of Berkeley DB hash and btree
// files, which stand at offset 12 in the byte order of the machine.
func isBerkeleyDB(b []byte) bool {
	if len(b) < 16 {
		return false
	}
	for _, n := range []uint32{binary.LittleEndian.Uint32(b[12:]), binary.BigEndian.Uint32(b[12:])} {
		if n == 0x00061561 || n == 0x00053162 {
			return true
		}
	}
	return false
}

// sum is 64-bit FNV-1a. Only the owner of a table chooses its keys, so nobody
// outside can fill one chain of slots.
func sum(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(key); i++ {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return h
}
