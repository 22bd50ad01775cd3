package address

import "strings"

// tokenKind is the class of a lexical token (RFC 5322 section 3.2).
type tokenKind uint8

const (
	atom     tokenKind = iota
	quoted             // text holds what stands between the quotes, unescaped
	literal            // text holds the domain literal with its brackets
	comment            // text holds the comment with its parentheses
	operator           // text is one of < > @ , ; : .
)

type token struct {
	kind  tokenKind
	space bool // white space stands before it
	text  string
}

func (t token) is(op byte) bool { return t.kind == operator && t.text[0] == op }

// word tells whether the token is text of an address.
func (t token) word() bool { return t.kind == atom || t.kind == quoted || t.kind == literal }

// external is the token as it is written in a header.
func (t token) external() string {
	if t.kind == quoted {
		return quoteString(t.text)
	}
	return t.text
}

// quoteString writes a quoted-string (RFC 5322 section 3.2.4).
func quoteString(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '"' || c == '\\' || c == '\r' || c == '\n' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

const operators = "<>@,;:."

// atomEnd are the bytes that end an atom.
const atomEnd = operators + "()[\" \t\r\n"

// scan cuts s into at most limit tokens, in one pass from left to right; what
// lies beyond is dropped (header_address_token_limit). Unfinished quotes,
// comments and literals end with the text, and nothing is refused.
func scan(s string, limit int) []token {
	tokens := make([]token, 0, min(limit, 8))
	space := false
	for i := 0; i < len(s) && len(tokens) < limit; {
		c := s[i]
		var t token
		switch {
		case isSpace(c):
			space = true
			i++
			continue
		case c == '"':
			t.kind = quoted
			t.text, i = scanQuoted(s, i)
		case c == '(':
			t.kind = comment
			t.text, i = scanComment(s, i)
		case c == '[':
			t.kind = literal
			t.text, i = scanLiteral(s, i)
		case strings.IndexByte(operators, c) >= 0:
			t.kind = operator
			t.text = s[i : i+1]
			i++
		default:
			t.kind, t.text, i = scanAtom(s, i)
		}
		t.space, space = space, false
		tokens = append(tokens, t)
	}
	return tokens
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// scanAtom reads an atom; a backslash takes the next byte with it. At least
// one byte is consumed, so a stray ')' is an atom. One in which a special
// character was escaped is as good as quoted, and is written so.
func scanAtom(s string, i int) (tokenKind, string, int) {
	start := i
	escaped := false
	for ; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			escaped = true
			i++
			continue
		}
		if i > start && strings.IndexByte(atomEnd, s[i]) >= 0 {
			break
		}
	}
	i = min(i, len(s))
	text := s[start:i]
	if escaped {
		if text = unescape(text); strings.ContainsAny(text, atomEnd+"\\") {
			return quoted, text, i
		}
	}
	return atom, text, i
}

// scanQuoted reads a quoted string from its quote on. White space around a
// line break is folding and becomes one blank.
func scanQuoted(s string, i int) (string, int) {
	start := i + 1
	plain := true
	for i++; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) {
			plain = false
			i++
		} else if s[i] == '\n' || s[i] == '\r' {
			plain = false
		}
	}
	end := min(i, len(s))
	text := s[start:end]
	if !plain {
		text = unescape(unfold(text))
	}
	return text, min(end+1, len(s))
}

// scanComment reads a comment with those in it. Depth is a number, not a
// stack, so that deep nesting costs nothing.
func scanComment(s string, i int) (string, int) {
	start, depth := i, 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return unfold(s[start : i+1]), i + 1
			}
		}
	}
	// The end is missing: the comment must not swallow what will be added.
	return unfold(strings.TrimSuffix(s[start:], "\\")) + strings.Repeat(")", depth), len(s)
}

func scanLiteral(s string, i int) (string, int) {
	start := i
	for ; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ']':
			return unfold(s[start : i+1]), i + 1
		}
	}
	return unfold(strings.TrimSuffix(s[start:], "\\")) + "]", len(s)
}

// unfold turns each line break with the white space behind it into one blank.
func unfold(s string) string {
	if strings.IndexByte(s, '\n') < 0 && strings.IndexByte(s, '\r') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\n' && s[i] != '\r' {
			b.WriteByte(s[i])
			continue
		}
		for i+1 < len(s) && isSpace(s[i+1]) {
			i++
		}
		b.WriteByte(' ')
	}
	return b.String()
}

func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}
