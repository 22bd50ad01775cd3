package config

import (
	"encoding/binary"
	"errors"
)

// encodeMagic begins an encoded Set, so that stray bytes are not taken for one.
const encodeMagic = "posthaste-config-1\n"

// errNotConfig is what Decode says of bytes that Encode did not make.
var errNotConfig = errors.New("not an encoded configuration")

// Encode returns the set as bytes for a child process. They hold the files as
// they were read, so that every process of a generation sees the same text
// even when a file changes meanwhile.
func Encode(s *Set) []byte {
	out := []byte(encodeMagic)
	for _, part := range [][]byte{[]byte(s.Dir), s.Main.text, s.Master.text} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}

// Decode is the inverse of Encode.
func Decode(data []byte) (*Set, error) {
	if len(data) < len(encodeMagic) || string(data[:len(encodeMagic)]) != encodeMagic {
		return nil, errNotConfig
	}
	data = data[len(encodeMagic):]
	var parts [3][]byte
	for i := range parts {
		if len(data) < 4 {
			return nil, errNotConfig
		}
		n := binary.BigEndian.Uint32(data)
		data = data[4:]
		if uint64(n) > uint64(len(data)) {
			return nil, errNotConfig
		}
		parts[i], data = data[:n], data[n:]
	}
	if len(data) != 0 {
		return nil, errNotConfig
	}
	return parseSet(string(parts[0]), parts[1], parts[2])
}
