// Package mime follows the structure of a MIME message line by line (RFC 2045,
// RFC 2046): what is the header of a part, what that of a message within. It
// decodes nothing, keeps no content, and touches nothing outside.
package mime

import "bytes"

// Limits are how much of a structure is followed.
type Limits struct {
	Nesting  int // multiparts within multiparts; one more than this is the most
	Boundary int // bytes of a boundary that count
}

// Push adds a multipart to those around; false: it is too deep, and is text.
func (l Limits) Push(around []Boundary, b Boundary) ([]Boundary, bool) {
	if len(around) > l.Nesting+1 {
		return around, false
	}
	b.Text = b.Text[:min(len(b.Text), l.Boundary)]
	return append(around, b), true
}

// Boundary is that of a multipart.
type Boundary struct {
	Text   string
	Digest bool // parts are messages unless they say otherwise
}

var dashes = []byte("--")

// Match finds the multipart that a delimiter line belongs to (RFC 2046 section
// 5.1.1), the innermost first: the line begins with the boundary, whatever
// follows. last tells that the line ends the multipart.
func Match(around []Boundary, line []byte) (n int, last, ok bool) {
	text, found := bytes.CutPrefix(line, dashes)
	if !found {
		return 0, false, false
	}
	for n = len(around) - 1; n >= 0; n-- {
		rest, found := bytes.CutPrefix(text, []byte(around[n].Text))
		if found {
			return n, bytes.HasPrefix(rest, dashes), true
		}
	}
	return 0, false, false
}
