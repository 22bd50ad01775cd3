package ipc

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Attributes writes Postfix's own form for requests between its processes, as
// existing programs (exporters, postqueue, sendmail) speak it to showq, flush
// and postdrop: `name NUL value NUL`, and one NUL at the end of a list. Errors
// stick, and Flush returns them.
type Attributes struct{ *bufio.Writer }

// Put writes one attribute. NUL bytes of the value are left out.
func (a Attributes) Put(name, value string) {
	a.Write(AppendAttribute(a.AvailableBuffer(), name, value))
}

// AppendAttribute appends one attribute to b, as Put writes it.
func AppendAttribute(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, 0)
	for { // a NUL would end the value
		part, rest, found := strings.Cut(value, "\x00")
		b = append(b, part...)
		if !found {
			return append(b, 0)
		}
		value = rest
	}
}

// Number writes a numerical attribute.
func (a Attributes) Number(name string, n int64) { a.Put(name, strconv.FormatInt(n, 10)) }

// End ends a list.
func (a Attributes) End() { a.WriteByte(0) }

// Announce is what a server says first: which protocol it speaks.
func (a Attributes) Announce(protocol string) {
	a.Put("protocol", protocol)
	a.End()
}

// Limits of a request; real ones have two attributes and some dozen bytes.
const (
	maxAttributes    = 16
	maxAttributeText = 64 << 10 // a long reason for a delay
)

// ErrAttributes is the error of a list that is none.
var ErrAttributes = errors.New("malformed attribute list")

// ReadAttributes reads one short list.
func ReadAttributes(r *bufio.Reader) (map[string]string, error) {
	list := map[string]string{}
	for range maxAttributes {
		name, value, err := ReadAttribute(r)
		if err != nil {
			return nil, err
		}
		if name == "" {
			return list, nil
		}
		list[name] = value
	}
	return nil, ErrAttributes
}

// ReadAttribute reads one attribute; the end of a list has no name. io.EOF
// means that the peer closed where an attribute could have begun.
func ReadAttribute(r *bufio.Reader) (name, value string, err error) {
	if name, err = readText(r); err != nil || name == "" {
		return "", "", err
	}
	value, err = readText(r)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return name, value, err
}

// readText reads up to a NUL.
func readText(r *bufio.Reader) (string, error) {
	text, err := r.ReadSlice(0)
	if errors.Is(err, bufio.ErrBufferFull) {
		return readLongText(r, bytes.Clone(text))
	}
	if err != nil {
		return "", cut(err, len(text))
	}
	if len(text) > maxAttributeText+1 {
		return "", ErrAttributes
	}
	return string(text[:len(text)-1]), nil
}

// readLongText reads what does not fit into the buffer of r.
func readLongText(r *bufio.Reader, text []byte) (string, error) {
	for len(text) <= maxAttributeText {
		c, err := r.ReadByte()
		if err != nil {
			return "", cut(err, len(text))
		}
		if c == 0 {
			return string(text), nil
		}
		text = append(text, c)
	}
	return "", ErrAttributes
}

// cut is the error when the peer closes behind n bytes of a text.
func cut(err error, n int) error {
	if errors.Is(err, io.EOF) && n > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
