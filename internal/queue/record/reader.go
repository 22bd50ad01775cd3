package record

import (
	"errors"
	"io"
	"strconv"
	"strings"
)

// Record is one record of a file. Data is valid until the next call of Next.
type Record struct {
	Type   Type
	Offset int64 // where the record stands in the file
	Next   int64 // where the record behind it stands
	Data   []byte
}

// readerBlock is how much a Reader asks for at a time: most files are read at once.
const readerBlock = 8 << 10

// Reader reads records one after the other. It keeps one block in memory and
// never more than a single record beyond it.
type Reader struct {
	// Raw makes Next return pointer and padding records and follow no pointer:
	// the physical order.
	Raw bool
	// MaxPayload bounds a record's payload; 0 means the format's own limit.
	MaxPayload int

	f       io.ReaderAt
	offset  int64
	buf     []byte
	bufAt   int64 // file offset of buf[0]
	ended   bool  // buf reaches to the end of the file
	lastTo  int64 // target of the last jump
	jumps   int
	pointed bool
}

// NewReader reads f from its beginning, by blocks.
func NewReader(f io.ReaderAt) *Reader { return &Reader{f: f} }

// Offset is where the next record stands.
func (r *Reader) Offset() int64 { return r.offset }

// Goto goes on at the given offset.
func (r *Reader) Goto(offset int64) { r.offset = offset }

// Pointed tells whether a pointer was followed so far.
func (r *Reader) Pointed() bool { return r.pointed }

// Next returns the next record of the logical stream. At the end of the file
// it returns io.EOF; a record that is cut short is ErrDamaged.
func (r *Reader) Next() (Record, error) {
	for {
		rec, err := r.read()
		if err != nil || r.Raw {
			return rec, err
		}
		switch rec.Type {
		case Padding:
			continue
		case Pointer:
			if err := r.Follow(rec); err != nil {
				return Record{}, err
			}
			continue
		}
		return rec, nil
	}
}

// Follow goes where a pointer record leads; 0 means straight on.
func (r *Reader) Follow(rec Record) error {
	to, err := strconv.ParseInt(strings.TrimLeft(string(rec.Data), " "), 10, 64)
	if err != nil || to < 0 {
		return damaged(rec.Offset, "bad pointer %q", rec.Data)
	}
	if to == 0 {
		return nil
	}
	if to <= r.lastTo {
		if r.jumps++; r.jumps > maxBackwardJumps {
			return damaged(rec.Offset, "pointer loop")
		}
	}
	r.lastTo, r.offset, r.pointed = to, to, true
	return nil
}

func (r *Reader) read() (Record, error) {
	at := r.offset
	head, err := r.window(at, 1+maxLengthBytes)
	if err != nil {
		return Record{}, err
	}
	if len(head) == 0 {
		return Record{}, io.EOF
	}
	kind := Type(head[0]) // head is gone once the payload is read
	n, size, err := length(at, head[1:])
	if err != nil {
		return Record{}, err
	}
	if r.MaxPayload > 0 && n > r.MaxPayload {
		return Record{}, damaged(at, "record of %d bytes is too long", n)
	}
	start := at + 1 + int64(size)
	data, err := r.window(start, n)
	if err != nil {
		return Record{}, err
	}
	if len(data) < n {
		return Record{}, damaged(at, "file ends within a record")
	}
	r.offset = start + int64(n)
	return Record{Type: kind, Offset: at, Next: r.offset, Data: data[:n]}, nil
}

// length decodes a record length and tells how many bytes it took.
func length(at int64, b []byte) (n, size int, err error) {
	for i := 0; i < maxLengthBytes; i++ {
		if i >= len(b) {
			return 0, 0, damaged(at, "file ends within a record")
		}
		n |= int(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return n, i + 1, nil
		}
	}
	return 0, 0, damaged(at, "bad record length")
}

// window returns at least n bytes at the offset, or fewer where the file ends.
func (r *Reader) window(offset int64, n int) ([]byte, error) {
	if i := offset - r.bufAt; i >= 0 && (i+int64(n) <= int64(len(r.buf)) || r.ended && i <= int64(len(r.buf))) {
		return r.buf[i:], nil
	}
	want := max(n, readerBlock)
	if n > readerBlock { // a forged length must not make us allocate it unread
		var err error
		if want, err = r.probe(offset, n); err != nil {
			return nil, err
		}
	}
	if cap(r.buf) < want {
		r.buf = make([]byte, want)
	}
	got, err := r.f.ReadAt(r.buf[:want], offset)
	if err != nil && !errors.Is(err, io.EOF) {
		r.buf, r.ended = r.buf[:0], false
		return nil, err
	}
	r.buf, r.bufAt, r.ended = r.buf[:got], offset, got < want
	return r.buf, nil
}

// probe tells how many of n bytes at the offset to read: n, or a block when
// the file is shorter than that.
func (r *Reader) probe(offset int64, n int) (int, error) {
	var b [1]byte
	got, err := r.f.ReadAt(b[:], offset+int64(n)-1)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if got == 0 {
		return readerBlock, nil
	}
	return n, nil
}
