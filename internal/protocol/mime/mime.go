// Package mime follows the structure of a MIME message line by line (RFC 2045,
// RFC 2046): what is the header of a part, what that of a message within. It
// decodes nothing, keeps no content, and touches nothing outside.
package mime

import (
	"bytes"
	"strings"
)

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

// ContentType reads the type, in lower case, and the boundary of a Content-Type
// field (RFC 2045 section 5.1).
func ContentType(field []byte) (kind, boundary string, digest bool) {
	_, value, _ := strings.Cut(string(field), ":")
	params := splitParams(value)
	kind = strings.ToLower(strings.Join(strings.Fields(params[0]), ""))
	for _, p := range params[1:] {
		name, value, ok := strings.Cut(p, "=")
		if ok && strings.EqualFold(strings.TrimSpace(name), "boundary") {
			boundary = strings.TrimSpace(value)
		}
	}
	return kind, boundary, kind == "multipart/digest"
}

// Encoding reads a Content-Transfer-Encoding field, in lower case.
func Encoding(field []byte) string {
	_, value, _ := bytes.Cut(field, []byte(":"))
	value, _, _ = bytes.Cut(bytes.TrimSpace(value), []byte(";"))
	value, _, _ = bytes.Cut(value, []byte("("))
	return strings.ToLower(string(bytes.TrimSpace(value)))
}

// splitParams splits at ';', takes quotes and their backslashes away, and drops
// comments. There is at least one part.
func splitParams(s string) []string {
	var params []string
	var b strings.Builder
	quoted, depth := false, 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && (quoted || depth > 0):
			if i++; i < len(s) && depth == 0 {
				b.WriteByte(s[i])
			}
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
			b.WriteByte(c)
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		case c == ';':
			params = append(params, b.String())
			b.Reset()
		default:
			b.WriteByte(c)
		}
	}
	return append(params, b.String())
}
