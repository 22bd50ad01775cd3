package local

import "strings"

// splitDestinations cuts the right-hand side of an alias, or the text of a
// .forward or :include: file, into destinations. They are separated by commas
// and line ends; lines that begin with '#' are comments. Quotes and comments
// in parentheses are removed, an address in angle brackets loses them, and
// what was said around it is dropped. So the results are `|command`, `/file`,
// `:include:/file`, `\user` or an address in internal form.
func splitDestinations(text string) []string {
	var list []string
	for text != "" {
		var one string
		one, text = nextDestination(text)
		if one != "" {
			list = append(list, one)
		}
	}
	return list
}

// nextDestination reads up to a comma or line end that is not quoted.
func nextDestination(text string) (one, rest string) {
	var b strings.Builder
	i := skipSpace(text, 0)
	if i < len(text) && text[i] == '#' {
		return "", afterLine(text, i)
	}
	bracket := -1 // where in b the text of `<…>` begins
	ended := false
	quotedEnd := 0
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case c == ',' && bracket < 0 || c == '\n':
			return trimTail(b.String(), quotedEnd), text[i+1:]
		case ended:
		case c == '"':
			i = copyQuoted(&b, text, i+1)
			quotedEnd = b.Len()
		case c == '\\' && b.Len() > 0 && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case c == '(' && !isSpecial(b.String()):
			i = skipComment(text, i)
		case c == '<' && !isSpecial(b.String()):
			b.Reset()
			bracket, quotedEnd = 0, 0
		case c == '>' && bracket >= 0:
			bracket, ended = -1, true
		default:
			b.WriteByte(c)
		}
	}
	return trimTail(b.String(), quotedEnd), ""
}

// isSpecial tells whether a destination is a command or a file, in which
// brackets mean nothing to us.
func isSpecial(s string) bool { return s != "" && (s[0] == '|' || s[0] == '/') }

// trimTail keeps white space that was quoted.
func trimTail(s string, keep int) string {
	return s[:keep] + strings.TrimRight(s[keep:], " \t\r")
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

func afterLine(s string, i int) string {
	if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
		return s[i+n+1:]
	}
	return ""
}

// copyQuoted copies up to the closing quote and returns its place. A quote
// that is not closed ends with its line.
func copyQuoted(b *strings.Builder, text string, i int) int {
	for ; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\n' {
			return i - 1
		}
		if text[i] == '\\' && i+1 < len(text) && text[i+1] != '\n' {
			i++
		}
		b.WriteByte(text[i])
	}
	return i
}

// skipComment returns the place of the closing parenthesis, or of the last
// byte of the line.
func skipComment(text string, i int) int {
	depth := 0
	for ; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		case '\n':
			return i - 1
		}
	}
	return len(text)
}
