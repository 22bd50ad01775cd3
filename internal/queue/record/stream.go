package record

import (
	"bufio"
	"errors"
	"io"
)

// Stream reads records from a pipe: what sendmail writes to postdrop. It never
// waits for more than the record it returns.
type Stream struct {
	in     *bufio.Reader
	limit  int
	offset int64
	data   []byte
}

// NewStream reads r; a record may have at most limit bytes of payload.
func NewStream(r io.Reader, limit int) *Stream {
	return &Stream{in: bufio.NewReaderSize(r, readerBlock), limit: limit}
}

// Next returns the next record; its data is valid until the next call. io.EOF
// means that the stream ended between two records; ErrDamaged that it is no
// stream of records, or ended within one.
func (s *Stream) Next() (Record, error) {
	at := s.offset
	kind, err := s.in.ReadByte()
	if err != nil {
		return Record{}, err
	}
	var head [maxLengthBytes]byte
	size := 0
	for size < len(head) {
		if head[size], err = s.in.ReadByte(); err != nil {
			return Record{}, cut(at, err)
		}
		size++
		if head[size-1]&0x80 == 0 {
			break
		}
	}
	n, _, err := length(at, head[:size])
	if err != nil {
		return Record{}, err
	}
	if n > s.limit {
		return Record{}, damaged(at, "record of %d bytes is too long", n)
	}
	if cap(s.data) < n {
		s.data = make([]byte, n)
	}
	if _, err := io.ReadFull(s.in, s.data[:n]); err != nil {
		return Record{}, cut(at, err)
	}
	s.offset = at + int64(1+size+n)
	return Record{Type: Type(kind), Offset: at, Next: s.offset, Data: s.data[:n]}, nil
}

// cut is the error of a stream that ends within a record.
func cut(at int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged(at, "stream ends within a record")
	}
	return err
}
