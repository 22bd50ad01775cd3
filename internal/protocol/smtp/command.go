package smtp

import "strings"

// SplitCommand splits a command line into its verb, in upper case, and the
// rest without surrounding white space.
func SplitCommand(line string) (verb, args string) {
	line = strings.Trim(line, " \t")
	for i := 0; i < len(line); i++ {
		if line[i] == ' ' || line[i] == '\t' {
			return upper(line[:i]), strings.TrimLeft(line[i:], " \t")
		}
	}
	return upper(line), ""
}

// upper is strings.ToUpper for ASCII only; it must not turn some other
// character into a letter of a verb.
func upper(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'a' && c <= 'z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i] >= 'a' && b[i] <= 'z' {
					b[i] -= 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// IsClean tells whether a command line has no control byte that could be taken
// for the end of a line or of a string: NUL, CR and LF.
func IsClean(line []byte) bool {
	for _, c := range line {
		if c == 0 || c == '\r' || c == '\n' {
			return false
		}
	}
	return true
}

// SplitPath takes the arguments of MAIL or RCPT: the keyword (`FROM:` or
// `TO:`), the path as it was written, and the parameters that follow. White
// space after the colon is let pass. ok is false when the keyword or the path is
// missing; an unbalanced path gives an empty path.
func SplitPath(args, keyword string) (path string, params []string, ok bool) {
	if len(args) <= len(keyword) || !strings.EqualFold(args[:len(keyword)], keyword) {
		return "", nil, false
	}
	rest := strings.TrimLeft(args[len(keyword):], " \t")
	if rest == "" {
		return "", nil, false
	}
	n := pathEnd(rest)
	if n < 0 {
		return "", nil, true
	}
	return rest[:n], strings.Fields(rest[n:]), true
}

// pathEnd is the index after the path: the first white space outside angle
// brackets and quotes, or -1 when one of these is not closed.
func pathEnd(s string) int {
	quoted, depth := false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			depth++
		case c == '>':
			depth--
		case (c == ' ' || c == '\t') && depth <= 0:
			return i
		}
	}
	if quoted || depth > 0 {
		return -1
	}
	return len(s)
}
