package trace

import (
	"path"
	"strings"
)

// inString tells whether a text ends inside of a quoted string.
func inString(s string) bool {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		}
	}
	return quoted
}

// split splits arguments at their commas: those in strings, structures and the
// descriptions of descriptors are no such.
func split(s string) []string {
	var args []string
	depth, start, quoted := 0, 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[' || c == '<':
			depth++
		case c == '>' && i > 0 && s[i-1] == '-': // the arrow between two addresses
		case c == '}' || c == ']' || c == '>':
			depth--
		case c == ',' && depth == 0:
			args = append(args, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
	}
	if last := strings.TrimSpace(s[start:]); last != "" {
		args = append(args, last)
	}
	return args
}

// Arg is an argument, or "" when there is none.
func (c *Call) Arg(n int) string {
	if n < len(c.Args) {
		return c.Args[n]
	}
	return ""
}

// Descriptor is what the descriptor in an argument leads to: a path, or a
// socket's kind and addresses, as "TCP:[…]".
func (c *Call) Descriptor(n int) string { return described(c.Arg(n)) }

func described(arg string) string {
	from, to := strings.IndexByte(arg, '<'), strings.LastIndexByte(arg, '>')
	if from < 0 || to < from {
		return ""
	}
	return Unquote(arg[from+1 : to])
}

// Path is the path in an argument, made absolute: by the directory descriptor in
// the argument before when at is true, else by dir.
func (c *Call) Path(n int, at bool, dir string) string {
	name := c.Bytes(n)
	if at {
		if d := c.Descriptor(n - 1); d != "" {
			dir = d
		}
	}
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(dir, name)
}

// Bytes are the bytes that a string argument shows, or those of all parts of an
// array of buffers. strace shows no more than its option -s allows.
func (c *Call) Bytes(n int) string {
	arg := c.Arg(n)
	if !strings.HasPrefix(arg, "{") && !strings.HasPrefix(arg, "[") {
		return quoted(arg)
	}
	var b strings.Builder
	for {
		_, rest, found := strings.Cut(arg, "iov_base=")
		if !found {
			return b.String()
		}
		text := quoted(rest)
		b.WriteString(text)
		arg = rest[1:]
	}
}

// quoted is the string that an argument begins with.
func quoted(arg string) string {
	if !strings.HasPrefix(arg, `"`) {
		return ""
	}
	for i := 1; i < len(arg); i++ {
		switch arg[i] {
		case '\\':
			i++
		case '"':
			return Unquote(arg[1:i])
		}
	}
	return Unquote(arg[1:])
}

// escapes are those of one letter.
var escapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'v': '\v', 'f': '\f'}

// Unquote undoes strace's escapes: those of C, with one to three octal digits.
func Unquote(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		if letter, ok := escapes[s[i]]; ok {
			b = append(b, letter)
			continue
		}
		digits, n := 0, 0
		for digits < 3 && i+digits < len(s) && s[i+digits] >= '0' && s[i+digits] <= '7' {
			n = n*8 + int(s[i+digits]-'0')
			digits++
		}
		if digits == 0 {
			b = append(b, s[i]) // \" and \\
			continue
		}
		b = append(b, byte(n))
		i += digits - 1
	}
	return string(b)
}
