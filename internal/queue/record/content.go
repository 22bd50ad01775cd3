package record

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
)

// Content is the content of a message in its queue file: header and body. It
// may be read by several readers at a time.
type Content struct {
	File   io.ReaderAt
	Offset int64  // of the first content record
	Length int64  // up to the record that ends the content
	Digest uint32 // CRC-32C of that region
	Summed bool   // Digest is known
}

// contentBlock is how much of the content is read at a time.
const contentBlock = 32 << 10

// endSize is the size of the record that ends the content: it has no payload.
const endSize = 2

var blocks = sync.Pool{New: func() any { return new([contentBlock]byte) }}

// Lines begins to read the content from its first line. Close gives the
// buffer back.
func (c Content) Lines() *LineReader {
	return &LineReader{content: c, offset: c.Offset, block: blocks.Get().(*[contentBlock]byte)}
}

// LineReader reads the lines of a message.
type LineReader struct {
	content Content
	block   *[contentBlock]byte
	buf     []byte // unread part of block
	offset  int64  // file offset behind buf
	rest    int    // unread payload of the current record
	kind    Type   // of the current record
	open    bool   // an unfinished line was returned
	pointed bool
	lastTo  int64
	jumps   int
	digest  uint32
	summed  int64 // bytes in digest
	err     error
}

// Close releases the reader's buffer; the reader is done.
func (r *LineReader) Close() {
	if r.block != nil {
		blocks.Put(r.block)
		r.block, r.buf, r.err = nil, nil, io.ErrClosedPipe
	}
}

// Next returns the next line without its line end, or, when complete is false,
// a part of a long line that the next call goes on with. The slice is valid
// until the next call. At the end of the message it returns io.EOF, and only
// after the digest was found right; every other error means that the content
// cannot be read or is damaged (ErrDamaged), and that what was read before
// must not be passed on as a whole message.
func (r *LineReader) Next() (line []byte, complete bool, err error) {
	if r.err != nil {
		return nil, false, r.err
	}
	if r.rest == 0 {
		if err := r.header(); err != nil {
			r.err = err
			if errors.Is(err, io.EOF) && r.open {
				r.open = false // an unfinished last line ends with the content
				return nil, true, nil
			}
			return nil, false, err
		}
	}
	n := min(r.rest, len(r.buf))
	if n < r.rest && n < contentBlock/2 {
		if err := r.fill(); err != nil {
			r.err = err
			return nil, false, err
		}
		n = min(r.rest, len(r.buf))
	}
	line = r.buf[:n:n]
	r.buf = r.buf[n:]
	r.rest -= n
	complete = r.rest == 0 && r.kind == Text
	r.open = !complete
	return line, complete, nil
}

// header reads record heads until one with text, or io.EOF at the end record.
func (r *LineReader) header() error {
	for {
		at := r.offset - int64(len(r.buf))
		if len(r.buf) < 1+maxLengthBytes && !r.atEnd() {
			if err := r.fill(); err != nil && len(r.buf) == 0 {
				return err
			}
		}
		n, size, err := length(at, r.buf[1:])
		if err != nil {
			return err
		}
		r.kind = Type(r.buf[0])
		r.buf = r.buf[1+size:]
		switch r.kind {
		case Text, Fragment:
			if r.rest = n; n == 0 && r.kind == Fragment {
				continue
			}
			return nil
		case Extracted:
			return r.finish(at)
		case Padding, Pointer:
			if err := r.control(at, n); err != nil {
				return err
			}
		default:
			return damaged(at, "record %q in the content", r.kind)
		}
	}
}

// atEnd tells whether all is read up to where the record is that ends the content:
// what follows is of no use.
func (r *LineReader) atEnd() bool {
	return !r.pointed && len(r.buf) >= endSize && r.offset == r.content.Offset+r.content.Length+endSize
}

// control skips padding and follows pointers.
func (r *LineReader) control(at int64, n int) error {
	if n > contentBlock/2 {
		return damaged(at, "%s of %d bytes", r.kind.Name(), n)
	}
	if len(r.buf) < n {
		if err := r.fill(); err != nil {
			return err
		}
		if len(r.buf) < n {
			return damaged(at, "file ends within a record")
		}
	}
	data := r.buf[:n]
	r.buf = r.buf[n:]
	if r.kind == Padding {
		return nil
	}
	p := Reader{offset: r.offset - int64(len(r.buf)), lastTo: r.lastTo, jumps: r.jumps}
	if err := p.Follow(Record{Type: Pointer, Offset: at, Data: data}); err != nil {
		return err
	}
	if p.pointed {
		r.offset, r.buf, r.pointed = p.offset, nil, true
		r.lastTo, r.jumps = p.lastTo, p.jumps
	}
	return nil
}

// fill moves the unread bytes to the front of the block and reads on.
func (r *LineReader) fill() error {
	kept := copy(r.block[:], r.buf)
	room := r.block[kept:]
	// Not beyond the record that ends the content: a read that is cut short by
	// the end of the file takes a second one to know it.
	if left := r.content.Offset + r.content.Length + endSize - r.offset; !r.pointed && left > 0 && left < int64(len(room)) {
		room = room[:left]
	}
	n, err := r.content.File.ReadAt(room, r.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	r.sum(r.block[kept : kept+n])
	r.offset += int64(n)
	r.buf = r.block[:kept+n]
	if n == 0 {
		return damaged(r.offset, "file ends within the content")
	}
	return nil
}

// sum adds what was read, as far as it belongs to the content, to the digest.
func (r *LineReader) sum(b []byte) {
	if left := r.content.Length - r.summed; int64(len(b)) > left {
		b = b[:max(left, 0)]
	}
	r.digest = crc32.Update(r.digest, castagnoli, b)
	r.summed += int64(len(b))
}

// finish checks where and how the content ended. Content that a milter edited
// in place has no digest of its own.
func (r *LineReader) finish(at int64) error {
	if r.pointed {
		return io.EOF
	}
	if at != r.content.Offset+r.content.Length {
		return damaged(at, "content ends at the wrong place")
	}
	if r.content.Summed && r.digest != r.content.Digest {
		return fmt.Errorf("%w: content checksum is %08x, should be %08x", ErrDamaged, r.digest, r.content.Digest)
	}
	return io.EOF
}
