package smtp

import (
	"bytes"
	"errors"
	"io"
)

// LineEnd tells how a line ended on the wire.
type LineEnd uint8

// The line ends. A carriage return alone never ends a line.
const (
	NoEnd  LineEnd = iota // cut at the length limit or at the end of a chunk
	BareLF                // LF without CR before it
	CRLF
)

// ErrLineTooLong says that a command line was longer than allowed; the rest of
// it was skipped, and the next line can be read.
var ErrLineTooLong = errors.New("command line too long")

// ErrLineFlood says that a command line was so long that reading on would be
// pointless. The connection should be closed.
var ErrLineFlood = errors.New("endless command line")

// skipLimit is how much of an over-long command line is skipped in the hope of
// finding its end.
const skipLimit = 64 << 10

// Reader reads lines and content from a client. It hands out slices of its
// buffer; they are valid until the next call. The buffer can be exchanged, so
// that an idle session holds little memory.
type Reader struct {
	src  io.Reader
	buf  []byte
	r, w int // unread bytes are buf[r:w]
}

// NewReader reads from src into buf, which bounds the longest command line.
func NewReader(src io.Reader, buf []byte) *Reader {
	return &Reader{src: src, buf: buf}
}

// Buffered returns the bytes that were received and not read yet.
func (r *Reader) Buffered() []byte { return r.buf[r.r:r.w] }

// Reset forgets buffered bytes and reads from src from now on, for example
// after TLS was started.
func (r *Reader) Reset(src io.Reader) { r.src, r.r, r.w = src, 0, 0 }

// Use exchanges the buffer and reports whether it did: unread bytes move along
// and must fit. The old buffer is returned for reuse.
func (r *Reader) Use(buf []byte) (old []byte, ok bool) {
	if r.w-r.r > len(buf) {
		return nil, false
	}
	old = r.buf
	r.w = copy(buf, r.buf[r.r:r.w])
	r.buf, r.r = buf, 0
	return old, true
}

// Fill waits for more bytes. The buffer must have room after unread bytes are
// moved to its start.
func (r *Reader) Fill() error {
	if r.r > 0 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	if r.w == len(r.buf) {
		return io.ErrShortBuffer
	}
	for range 100 {
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		if n > 0 {
			return nil // an error comes again with the next read
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// ReadCommand returns the next command line without its line end. Errors:
// ErrLineTooLong (in step again), ErrLineFlood, io.EOF when the client left
// between commands, io.ErrUnexpectedEOF in the middle of one, or the source's.
func (r *Reader) ReadCommand() (line []byte, end LineEnd, err error) {
	scanned := 0
	for {
		if i := bytes.IndexByte(r.buf[r.r+scanned:r.w], '\n'); i >= 0 {
			line, end = trimEnd(r.buf[r.r : r.r+scanned+i])
			r.r += scanned + i + 1
			return line, end, nil
		}
		scanned = r.w - r.r
		if scanned == len(r.buf) {
			return nil, NoEnd, r.skipLine()
		}
		if err := r.Fill(); err != nil {
			if err == io.EOF && scanned > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, NoEnd, err
		}
	}
}

// skipLine drops bytes up to the end of an over-long line.
func (r *Reader) skipLine() error {
	for skipped := 0; skipped < skipLimit; {
		if i := bytes.IndexByte(r.buf[r.r:r.w], '\n'); i >= 0 {
			r.r += i + 1
			return ErrLineTooLong
		}
		skipped += r.w - r.r
		r.r, r.w = 0, 0
		if err := r.Fill(); err != nil {
			return err
		}
	}
	return ErrLineFlood
}

// trimEnd splits what stands before an LF into text and line end. Only one CR
// belongs to the line end.
func trimEnd(line []byte) ([]byte, LineEnd) {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1], CRLF
	}
	return line, BareLF
}

// cutLine takes the next line, or the next piece of a line longer than limit
// bytes, from the start of buf. n is what it takes of buf, 0 when more bytes
// are needed. The result depends on the bytes alone, not on how they arrived.
func cutLine(buf []byte, limit int) (n int, text []byte, end LineEnd) {
	window := buf
	if len(window) > limit+2 {
		window = window[:limit+2]
	}
	if i := bytes.IndexByte(window, '\n'); i >= 0 {
		text, end = trimEnd(window[:i])
		if len(text) <= limit {
			return i + 1, text, end
		}
	} else if len(window) < limit+2 {
		return 0, nil, NoEnd
	}
	return limit, window[:limit], NoEnd
}

// Uses tells whether buf is the reader's buffer now.
func (r *Reader) Uses(buf []byte) bool {
	return len(buf) > 0 && len(r.buf) > 0 && &r.buf[0] == &buf[0]
}
