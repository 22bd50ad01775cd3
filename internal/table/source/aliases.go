package source

import (
	"strings"

	"posthaste/internal/table"
)

// Aliases calls add for each `name: value` entry of an aliases(5) source. The
// name comes without quotes; the value in the normal form Postfix stores: one
// space for white space, and one after each comma. What is not an entry is
// reported to warn and skipped. An error of add ends the work and is returned.
func Aliases(name string, data []byte, utf8Only bool, warn table.Warn, add func(Entry) error) error {
	for number, text := range Lines(name, data, warn) {
		if !acceptable(name, number, text, utf8Only, warn) {
			continue
		}
		left, right, ok := cutColon(text)
		key, value := unquoteName(left), normalize(right)
		switch {
		case !ok || left == "" || value == "":
			warn("%s, line %d: need name:value pair", name, number)
			continue
		case hasOutsideQuotes(left, '@'):
			warn("%s, line %d: name must be local", name, number)
			continue
		case key == "":
			warn("%s, line %d: empty lookup key value is not allowed", name, number)
			continue
		}
		if err := add(Entry{number, key, value}); err != nil {
			return err
		}
	}
	return nil
}

// cutColon cuts at the first colon outside quotes. ok is false when there is
// none, a quote is open, or the name is a list.
func cutColon(text string) (left, right string, ok bool) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ',':
			return "", "", false
		case c == ':':
			return strings.Trim(text[:i], space), strings.Trim(text[i+1:], space), true
		}
	}
	return "", "", false
}

func hasOutsideQuotes(text string, want byte) bool {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == want && !quoted:
			return true
		}
	}
	return false
}

// unquoteName turns a name into internal form: quotes and backslashes go, and
// white space between words becomes one space.
func unquoteName(text string) string {
	var b strings.Builder
	quoted, gap := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"':
			quoted = !quoted
			continue
		case c == '\\' && i+1 < len(text):
			i++
			c = text[i]
		case !quoted && strings.IndexByte(space, c) >= 0:
			gap = b.Len() > 0
			continue
		}
		if gap {
			b.WriteByte(' ')
			gap = false
		}
		b.WriteByte(c)
	}
	return b.String()
}

// normalize brings the right-hand side of an alias into the form that is
// stored. Quoted strings and comments are left alone.
func normalize(text string) string {
	var b strings.Builder
	quoted, depth, gap := false, 0, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if !quoted && depth == 0 {
			if strings.IndexByte(space, c) >= 0 {
				gap = true
				continue
			}
			if c == ',' {
				b.WriteByte(',')
				gap = true
				continue
			}
			if gap && b.Len() > 0 {
				b.WriteByte(' ')
			}
			gap = false
		}
		b.WriteByte(c)
		switch {
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			depth++
		case c == ')' && !quoted && depth > 0:
			depth--
		}
	}
	return b.String()
}
