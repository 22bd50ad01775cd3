package smtp

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

// ErrBDATSyntax says that a BDAT command line is malformed. The client's
// payload cannot be skipped then, so the connection should be closed.
var ErrBDATSyntax = errors.New("malformed BDAT command")

// ParseBDAT parses the arguments of BDAT (RFC 3030): a decimal size and
// optionally LAST.
func ParseBDAT(args string) (size int64, last bool, err error) {
	f := strings.Fields(args)
	if len(f) < 1 || len(f) > 2 || len(f) == 2 && !strings.EqualFold(f[1], "LAST") {
		return 0, false, ErrBDATSyntax
	}
	for i := 0; i < len(f[0]); i++ {
		if f[0][i] < '0' || f[0][i] > '9' {
			return 0, false, ErrBDATSyntax
		}
	}
	size, err = strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		return 0, false, ErrBDATSyntax
	}
	return size, len(f) == 2, nil
}

// ChunkReader decodes content that comes in BDAT chunks. A line may begin in
// one chunk and end in another; dots mean nothing here.
type ChunkReader struct {
	in      *Reader
	limit   int
	left    int64  // unread bytes of this chunk
	part    []byte // a line begun, not cut yet; at most limit+2 bytes
	used    int    // bytes of part already handed out
	last    bool
	sawBare bool
}

// NewChunkReader decodes chunks from in. Lines longer than limit bytes are
// given in pieces; the buffer of in must hold limit+2 bytes.
func NewChunkReader(in *Reader, limit int) *ChunkReader {
	return &ChunkReader{in: in, limit: limit}
}

// SawBareLF tells whether a line so far ended in a bare LF.
func (c *ChunkReader) SawBareLF() bool { return c.sawBare }

// Begin starts the next chunk. The chunk before must have been read to its end.
func (c *ChunkReader) Begin(size int64, last bool) { c.left, c.last = size, last }

// Next returns the next line or piece, as DataReader.Next does. io.EOF is the
// end of the chunk; a line it leaves unfinished is kept for the next chunk,
// or given out if this chunk is the last.
func (c *ChunkReader) Next() (text []byte, whole bool, err error) {
	if c.used > 0 {
		c.part = append(c.part[:0], c.part[c.used:]...)
		c.used = 0
	}
	for {
		if len(c.part) == 0 {
			window := c.window()
			if n, text, end := cutLine(window, c.limit); n > 0 {
				c.take(n)
				return c.line(text, end)
			}
		}
		if n, text, end := cutLine(c.part, c.limit); n > 0 {
			c.used = n
			return c.line(text, end)
		}
		if c.left == 0 {
			if c.last && len(c.part) > 0 {
				c.used = len(c.part)
				return c.part, true, nil
			}
			return nil, false, io.EOF
		}
		if err := c.collect(); err != nil {
			return nil, false, err
		}
	}
}

// Skip drops the rest of the chunk and anything unfinished, to be in step
// with the client again after an error.
func (c *ChunkReader) Skip() error {
	c.part, c.used = c.part[:0], 0
	for c.left > 0 {
		if n := len(c.window()); n > 0 {
			c.take(n)
			continue
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
	return nil
}

func (c *ChunkReader) line(text []byte, end LineEnd) ([]byte, bool, error) {
	c.sawBare = c.sawBare || end == BareLF
	return text, end != NoEnd, nil
}

// collect moves bytes of a line that cannot be cut in place to part: up to
// its LF, and never more than limit+2 in all.
func (c *ChunkReader) collect() error {
	window := c.window()
	if len(window) == 0 || len(c.part) == 0 && int64(len(window)) < c.left {
		return c.fill() // more of the same chunk may complete the line in place
	}
	n := min(len(window), c.limit+2-len(c.part))
	if i := bytes.IndexByte(window[:n], '\n'); i >= 0 {
		n = i + 1
	}
	c.part = append(c.part, window[:n]...)
	c.take(n)
	return nil
}

func (c *ChunkReader) window() []byte {
	b := c.in.Buffered()
	if int64(len(b)) > c.left {
		b = b[:c.left]
	}
	return b
}

func (c *ChunkReader) take(n int) {
	c.in.r += n
	c.left -= int64(n)
}

func (c *ChunkReader) fill() error {
	err := c.in.Fill()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
