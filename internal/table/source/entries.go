package source

import (
	"strings"
	"unicode/utf8"

	"posthaste/internal/table"
)

// Entry is one entry of a table source.
type Entry struct {
	Line       int
	Key, Value string
}

const space = " \t\r\n\v\f"

// Entries calls add for each `key value` entry of a postmap(1) source. What is
// not an entry is reported to warn and skipped. The key keeps its quotes, as
// Postfix stores it. An error of add ends the work and is returned.
func Entries(name string, data []byte, utf8Only bool, warn table.Warn, add func(Entry) error) error {
	for number, text := range Lines(name, data, warn) {
		if !acceptable(name, number, text, utf8Only, warn) {
			continue
		}
		key, value, ok := splitKey(text)
		if !ok {
			warn("%s, line %d: unbalanced '\"' in '%s' -- ignoring this line", name, number, text)
			continue
		}
		if key == "" || value == "" {
			warn("%s, line %d: expected format: key whitespace value -- ignoring this line", name, number)
			continue
		}
		if strings.HasSuffix(key, ":") {
			warn("%s, line %d: record is in \"key: value\" format; is this an alias file?", name, number)
		}
		if err := add(Entry{number, key, value}); err != nil {
			return err
		}
	}
	return nil
}

// acceptable refuses text that no table can hold.
func acceptable(name string, number int, text string, utf8Only bool, warn table.Warn) bool {
	switch {
	case utf8Only && !utf8.ValidString(text):
		warn("%s, line %d: non-UTF-8 input \"%s\" -- ignoring this line", name, number, text)
	case strings.IndexByte(text, 0) >= 0:
		warn("%s, line %d: null byte in input \"%s\" -- ignoring this line", name, number, text)
	default:
		return true
	}
	return false
}

// splitKey cuts a line at the first white space outside double quotes that no
// backslash protects. ok is
// false when a quote is not closed.
func splitKey(text string) (key, value string, ok bool) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(space, c) >= 0:
			return text[:i], strings.Trim(text[i:], space), true
		}
	}
	return text, "", !quoted
}
