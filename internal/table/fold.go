package table

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"posthaste/internal/mail"
)

// Fold maps a key to the form in which exact tables hold it: case folded, for
// ASCII and, where the key is valid UTF-8, for all of Unicode (SMTPUTF8_README).
// Keys that are not UTF-8 are folded in their ASCII letters only.
func Fold(key string) string {
	i := 0
	for i < len(key) && key[i] < utf8.RuneSelf {
		i++
	}
	switch {
	case i == len(key):
		return strings.ToLower(key)
	case !utf8.ValidString(key):
		return mail.LowerASCII(key)
	}
	var b strings.Builder
	b.Grow(len(key) + 2)
	for _, r := range key {
		foldRune(&b, r)
	}
	return b.String()
}

// foldRune folds as Unicode's CaseFolding.txt, statuses C and F, for the
// letters met in mail; going by upper case joins forms such as final sigma.
func foldRune(b *strings.Builder, r rune) {
	switch r {
	case 'ß', 'ẞ':
		b.WriteString("ss")
	case 'İ':
		b.WriteString("i\u0307")
	case 'ı': // has no case folding although its upper case is I
		b.WriteRune(r)
	default:
		b.WriteRune(unicode.ToLower(unicode.ToUpper(r)))
	}
}

// Folded is a table that folds the case of each key before the lookup.
func Folded(t Table) Table { return folded{t} }

type folded struct{ Table }

// Lookup looks up the folded key.
func (f folded) Lookup(ctx context.Context, key string) (string, bool, error) {
	return f.Table.Lookup(ctx, Fold(key))
}

// Each passes on to the table below; see Lister.
func (f folded) Each(yield func(key, value string) bool) error {
	return Each(f.Table, yield)
}

// Close closes the table below, if it holds anything open.
func (f folded) Close() error { return Close(f.Table) }
