package mime

import (
	"strings"

	"posthaste/internal/mail"
)

// Type is a Content-Type field (RFC 2045 section 5.1).
type Type struct {
	// Kind is type and subtype in lower case, such as "text/plain"; "text/" and "/"
	// where the field does not say it all.
	Kind       string
	Boundaries []string // one is allowed; readers differ about which of two counts
}

// Multipart tells whether the entity is made of parts.
func (t Type) Multipart() bool { return isMultipart(t.Kind) }

func isMultipart(kind string) bool { return strings.HasPrefix(kind, "multipart/") }

// Digest tells whether its parts are messages unless they say otherwise.
func (t Type) Digest() bool { return t.Kind == "multipart/digest" }

// IsMessage tells whether an entity of a kind is a message with a header that
// can be looked into.
func IsMessage(kind string) bool { return kind == "message/rfc822" || kind == "message/global" }

// ContentType reads a Content-Type field; false: there is none, or it begins
// with a quoted string and says nothing.
func ContentType(field []byte) (Type, bool) {
	_, value, found := strings.Cut(string(field), ":")
	if !found {
		return Type{}, false
	}
	s := scanner{value, typeSpecials}
	part, more := s.part()
	if part[0].kind == quoted {
		return Type{}, false
	}
	var t Type
	t.Kind = "/"
	if part[0].kind == word {
		t.Kind = strings.ToLower(part[0].text) + "/"
		if part[1].kind == '/' && part[2].kind == word {
			t.Kind += strings.ToLower(part[2].text)
		}
	}
	for more {
		part, more = s.part()
		value := part[2]
		if strings.EqualFold(part[0].text, "boundary") && part[1].kind == '=' && (value.kind == word || value.kind == quoted) {
			t.Boundaries = append(t.Boundaries, value.text)
		}
	}
	return t, true
}

// Encoding reads a Content-Transfer-Encoding field, in lower case: its first
// word, whatever follows.
func Encoding(field []byte) string {
	_, value, _ := strings.Cut(string(field), ":")
	s := scanner{value, textSpecials}
	if t := s.next(); t.kind == word {
		return strings.ToLower(t.text)
	}
	return ""
}

// The characters that end a word and stand for themselves. Postfix reads a
// Content-Transfer-Encoding by the older list, in which `8bit.` is a word and a dot.
const (
	typeSpecials = `()<>@,;:\"/[]?=` // RFC 2045 section 5.1
	textSpecials = `()<>@,;:\".[]`   // RFC 822 section 3.3
)

// token is a piece of a structured field. Its kind is one of those below, or the
// special character that it is.
type token struct {
	kind byte
	text string // without quotes and their backslashes
}

const (
	end    byte = 0
	word   byte = 'w'
	quoted byte = '"'
)

// scanner takes a structured field apart. Blanks and comments fall away.
type scanner struct{ rest, specials string }

// part reads as far as the next semicolon and returns the first three tokens;
// more: there was a semicolon.
func (s *scanner) part() (part [3]token, more bool) {
	for n := 0; ; n++ {
		switch t := s.next(); {
		case t.kind == ';' || t.kind == end:
			return part, t.kind == ';'
		case n < len(part):
			part[n] = t
		}
	}
}

func (s *scanner) next() token {
	for s.rest != "" {
		switch c := s.rest[0]; {
		case c == 0:
			s.rest = ""
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			s.rest = s.rest[1:]
		case c == '(':
			s.comment()
		case c == '"':
			return token{quoted, s.quoted()}
		case s.special(c):
			s.rest = s.rest[1:]
			return token{kind: c}
		default:
			return token{word, s.word()}
		}
	}
	return token{}
}

func (s *scanner) special(c byte) bool {
	return c <= ' ' || c == 0x7f || strings.IndexByte(s.specials, c) >= 0
}

func (s *scanner) word() string {
	n := 0
	for n < len(s.rest) && !s.special(s.rest[n]) {
		n++
	}
	w := s.rest[:n]
	s.rest = s.rest[n:]
	return w
}

// comment drops a comment, which may hold others, or all when it does not end.
func (s *scanner) comment() {
	n := mail.CommentLength(s.rest)
	if n == 0 {
		n = len(s.rest)
	}
	s.rest = s.rest[n:]
}

// quoted reads a quoted string; line breaks in it are those of folding.
func (s *scanner) quoted() string {
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.rest = s.rest[i+1:]
			return b.String()
		case '\\':
			if i++; i < len(s.rest) {
				b.WriteByte(s.rest[i])
			}
		case '\r', '\n':
		default:
			b.WriteByte(c)
		}
	}
	s.rest = ""
	return b.String()
}
