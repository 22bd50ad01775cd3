package run

import (
	"bufio"
	"errors"
	"io"
	"strconv"
)

// Attributes are Postfix's own form for requests between its processes, as
// existing programs (exporters, postqueue) speak it to showq and flush:
// `name NUL value NUL`, and one NUL at the end of a list.
type attributes struct{ *bufio.Writer }

func (a attributes) put(name, value string) {
	a.WriteString(name)
	a.WriteByte(0)
	for i := 0; i < len(value); i++ { // a NUL would end the value
		if value[i] != 0 {
			a.WriteByte(value[i])
		}
	}
	a.WriteByte(0)
}

func (a attributes) number(name string, n int64) { a.put(name, strconv.FormatInt(n, 10)) }

func (a attributes) end() { a.WriteByte(0) }

// announce is what a server says first: which protocol it speaks.
func (a attributes) announce(protocol string) {
	a.put("protocol", protocol)
	a.end()
}

// Limits of a request; real ones have two attributes and some dozen bytes.
const (
	maxAttributes    = 16
	maxAttributeText = 4096
)

var errAttributes = errors.New("malformed attribute list")

// readAttributes reads one list.
func readAttributes(r *bufio.Reader) (map[string]string, error) {
	list := map[string]string{}
	for range maxAttributes {
		name, err := readText(r)
		if err != nil {
			return nil, err
		}
		if name == "" {
			return list, nil
		}
		if list[name], err = readText(r); err != nil {
			return nil, err
		}
	}
	return nil, errAttributes
}

// readText reads up to a NUL.
func readText(r *bufio.Reader) (string, error) {
	var text []byte
	for len(text) <= maxAttributeText {
		c, err := r.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) && len(text) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		if c == 0 {
			return string(text), nil
		}
		text = append(text, c)
	}
	return "", errAttributes
}
