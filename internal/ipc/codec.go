package ipc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Encoder builds a frame. The zero value is ready. Numbers are varints,
// strings carry their length, and every byte of a string is kept.
type Encoder struct{ buf []byte }

// Frame returns what was written so far; it is valid until the next call of
// another method.
func (e *Encoder) Frame() []byte { return e.buf }

// Reset empties the encoder and keeps its memory.
func (e *Encoder) Reset() { e.buf = e.buf[:0] }

// Uint writes an unsigned number.
func (e *Encoder) Uint(v uint64) { e.buf = binary.AppendUvarint(e.buf, v) }

// Int writes a signed number.
func (e *Encoder) Int(v int64) { e.buf = binary.AppendVarint(e.buf, v) }

// Bool writes a truth value: one byte, 0 or 1.
func (e *Encoder) Bool(v bool) {
	var b byte
	if v {
		b = 1
	}
	e.buf = append(e.buf, b)
}

// String writes a string.
func (e *Encoder) String(s string) {
	e.Uint(uint64(len(s)))
	e.buf = append(e.buf, s...)
}

// Bytes writes a byte string, encoded as String is.
func (e *Encoder) Bytes(b []byte) {
	e.Uint(uint64(len(b)))
	e.buf = append(e.buf, b...)
}

// Strings writes a list of strings.
func (e *Encoder) Strings(list []string) {
	e.Uint(uint64(len(list)))
	for _, s := range list {
		e.String(s)
	}
}

// Time writes a moment, to the nanosecond. The zero time stays the zero time;
// the place on earth is not kept.
func (e *Encoder) Time(t time.Time) {
	e.Bool(!t.IsZero())
	if !t.IsZero() {
		e.Int(t.Unix())
		e.Uint(uint64(t.Nanosecond()))
	}
}

// ErrMalformed is the error of a frame that does not decode.
var ErrMalformed = errors.New("malformed frame")

// Decoder reads what an Encoder wrote, in the same order. After the first
// fault every method returns its zero value and Err tells what was wrong, so
// that a caller checks once, at the end, with Done. It allocates nothing that
// is larger than the frame.
type Decoder struct {
	buf []byte
	err error
}

// NewDecoder reads frame, which must not change meanwhile.
func NewDecoder(frame []byte) *Decoder { return &Decoder{buf: frame} }

// Err returns the first fault.
func (d *Decoder) Err() error { return d.err }

// Done returns the first fault; bytes that nobody read are one.
func (d *Decoder) Done() error {
	if len(d.buf) > 0 {
		d.fail("unread bytes")
	}
	return d.err
}

// More tells whether there is something left to read.
func (d *Decoder) More() bool { return d.err == nil && len(d.buf) > 0 }

// Fail records a fault that the caller found in a decoded value.
func (d *Decoder) Fail(text string) { d.fail(text) }

func (d *Decoder) fail(text string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, text)
	}
	d.buf = nil
}

// Uint reads an unsigned number.
func (d *Decoder) Uint() uint64 {
	v, n := binary.Uvarint(d.buf)
	if !d.number(n) {
		return 0
	}
	return v
}

// Int reads a signed number.
func (d *Decoder) Int() int64 {
	v, n := binary.Varint(d.buf)
	if !d.number(n) {
		return 0
	}
	return v
}

// number takes a number of n bytes off the frame. A number has one encoding
// only: the shortest.
func (d *Decoder) number(n int) bool {
	if n <= 0 || n > 1 && d.buf[n-1] == 0 {
		d.fail("bad number")
		return false
	}
	d.buf = d.buf[n:]
	return true
}

// Bool reads a truth value.
func (d *Decoder) Bool() bool {
	if len(d.buf) == 0 || d.buf[0] > 1 {
		d.fail("bad truth value")
		return false
	}
	v := d.buf[0] == 1
	d.buf = d.buf[1:]
	return v
}

// Bytes reads a byte string. It is part of the frame, not a copy.
func (d *Decoder) Bytes() []byte {
	n := d.Uint()
	if n > uint64(len(d.buf)) {
		d.fail("string is longer than the frame")
		return nil
	}
	b := d.buf[:n:n]
	d.buf = d.buf[n:]
	return b
}

// String reads a string.
func (d *Decoder) String() string { return string(d.Bytes()) }

// Count reads the length of a list whose entries take at least one byte each.
func (d *Decoder) Count() int {
	n := d.Uint()
	if n > uint64(len(d.buf)) {
		d.fail("list is longer than the frame")
		return 0
	}
	return int(n)
}

// Strings reads a list of strings; an empty one is nil.
func (d *Decoder) Strings() []string {
	n := d.Count()
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		if d.err != nil {
			return nil
		}
		list = append(list, d.String())
	}
	return list
}

// maxSeconds keeps times within years that have four digits or fewer.
const maxSeconds = 253402300799

// Time reads a moment.
func (d *Decoder) Time() time.Time {
	if !d.Bool() {
		return time.Time{}
	}
	sec, nsec := d.Int(), d.Uint()
	if sec < -maxSeconds || sec > maxSeconds || nsec >= uint64(time.Second) {
		d.fail("bad time")
	}
	if d.err != nil {
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec))
}
