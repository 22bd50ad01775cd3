package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"posthaste/internal/mail"
)

// A journal segment is a sequence of frames: a head of fixed size, the queue
// id, and a body. The first frame that is not whole ends the segment: what
// stands behind it was never synced together with anything before it.
//
//	 0  magic
//	 4  CRC-32C of the segment's name and everything behind this field: frames
//	    of a segment that was written in the same file before do not count
//	 8  kind
//	 9  place: index in framePlaces
//	10  length of the queue id
//	11  (zero)
//	12  length of the body
//	16  offset, for a mark
//	24  queue id, body
type frame struct {
	kind   frameKind
	place  Name
	id     mail.QueueID
	offset int64  // frameMark: of the recipient's record; framePiece: of the body in the file
	body   []byte // frameMessage: the whole queue file, or nothing behind pieces
}

type frameKind uint8

const (
	frameMessage frameKind = 1 + iota // a message was committed
	frameMark                         // a recipient needs no more delivery
	frameGone                         // the message was removed
	framePiece                        // something was written to a queue file
)

// framePlaces are the queues in which a message may be committed; their order
// is part of the format.
var framePlaces = []Name{Incoming, Hold}

const (
	frameHead  = 24
	frameMagic = 0x314a4850 // "PHJ1"
	// maxFrameBody bounds what a reader of segments allocates.
	maxFrameBody = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errFrameEnd says that no further frame of a segment is whole.
var errFrameEnd = errors.New("end of the journal segment")

// salt is what the checksums of a segment begin with.
func salt(segment string) uint32 {
	name := strings.TrimSuffix(segment, notesSuffix)
	return crc32.Checksum([]byte(name), castagnoli)
}

// appendTo appends the encoded frame to b.
func (f *frame) appendTo(b []byte, salt uint32) ([]byte, error) {
	place := max(slices.Index(framePlaces, f.place), 0)
	if len(f.id) > 255 || len(f.body) > maxFrameBody {
		return b, fmt.Errorf("journal: message %s does not fit into a frame", f.id)
	}
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, frameMagic)
	b = append(b, 0, 0, 0, 0, byte(f.kind), byte(place), byte(len(f.id)), 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.body)))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.offset))
	b = append(b, f.id...)
	b = append(b, f.body...)
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Update(salt, castagnoli, b[start+8:]))
	return b, nil
}

// readFrame reads the frame at an offset of a segment with this salt and returns the offset behind it.
// errFrameEnd means that there is none; other errors are I/O errors.
func readFrame(r io.ReaderAt, salt uint32, at int64) (f frame, next int64, err error) {
	var head [frameHead]byte
	if err := readFull(r, head[:], at); err != nil {
		return f, at, err
	}
	length := binary.LittleEndian.Uint32(head[12:])
	place := int(head[9])
	if binary.LittleEndian.Uint32(head[:]) != frameMagic || length > maxFrameBody || place >= len(framePlaces) {
		return f, at, errFrameEnd
	}
	rest := make([]byte, int(head[10])+int(length))
	if err := readFull(r, rest, at+frameHead); err != nil {
		return f, at, err
	}
	sum := crc32.Update(crc32.Update(salt, castagnoli, head[8:]), castagnoli, rest)
	if sum != binary.LittleEndian.Uint32(head[4:]) {
		return f, at, errFrameEnd
	}
	f = frame{
		kind: frameKind(head[8]), place: framePlaces[place], id: mail.QueueID(rest[:head[10]]),
		offset: int64(binary.LittleEndian.Uint64(head[16:])), body: rest[head[10]:],
	}
	if !f.id.Valid() {
		return f, at, errFrameEnd
	}
	return f, at + frameHead + int64(len(rest)), nil
}

// readFull reads all of b; a file that ends before is the end of a segment.
func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return errFrameEnd
	}
	return err
}
