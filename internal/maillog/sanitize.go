package maillog

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Sanitize makes text fit for one line of a log: control characters (also
// those above 0x7f, which terminals obey), invisible characters and bytes that
// are not UTF-8 become '?', one for each.
func Sanitize(text string) string {
	i := 0
	for i < len(text) && text[i] >= ' ' && text[i] < 0x7f {
		i++
	}
	if i == len(text) {
		return text // the usual case, without a copy
	}
	var b strings.Builder
	b.Grow(len(text))
	b.WriteString(text[:i])
	for i < len(text) {
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && n <= 1 || !unicode.IsPrint(r) {
			b.WriteByte('?')
		} else {
			b.WriteString(text[i : i+n])
		}
		i += n
	}
	return b.String()
}
