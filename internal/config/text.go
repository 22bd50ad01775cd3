package config

import (
	"errors"
	"strings"
)

// The two ways in which `name = value` can be wrong, in Postfix's words.
var (
	errNoName   = errors.New("missing attribute name")
	errNoEquals = errors.New("missing '=' after attribute name")
)

// isSpace is white space as C's isspace sees it.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isSpaceRune(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' }

// isNameByte tells whether c can be part of the name in $name.
func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// excerpt shortens text for a message.
func excerpt(text string) string {
	const most = 100
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// SplitList splits a list at commas and white space, as Postfix's list
// parameters are. A group in braces is kept whole, braces included, so that
// `{ inet:host:1, timeout=3s }` is one element.
func SplitList(text string) []string {
	var out []string
	start, depth := -1, 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if depth == 0 && (c == ',' || isSpace(c)) {
			if start >= 0 {
				out = append(out, text[start:i])
				start = -1
			}
			continue
		}
		if start < 0 {
			start = i
		}
		switch {
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		}
	}
	if start >= 0 {
		out = append(out, text[start:])
	}
	return out
}

// closingBrace returns the index of the brace that closes the one at
// text[0], or -1.
func closingBrace(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// Fields splits text at white space.
func fields(text string) []string { return strings.FieldsFunc(text, isSpaceRune) }
