package local

import (
	"errors"
	"fmt"
	"strings"
)

// expandMacros replaces $name, ${name}, $(name), ${name?text}, ${name?{text}},
// ${name:text}, ${name:{text}} and ${name?{text}:{other}} (forward_path in
// postconf(5)). $$ is a dollar sign. An unknown name is an error: it is a
// mistake in main.cf. What lookup returns is not expanded again.
func expandMacros(text string, lookup func(name string) (string, bool)) (string, error) {
	return expandLevel(text, lookup, 0)
}

func expandLevel(text string, lookup func(string) (string, bool), depth int) (string, error) {
	if depth > 20 {
		return "", errors.New("too many nested expressions")
	}
	var out strings.Builder
	for i := 0; i < len(text); {
		if text[i] != '$' || i+1 == len(text) {
			out.WriteByte(text[i])
			i++
			continue
		}
		i++
		switch c := text[i]; {
		case c == '$':
			out.WriteByte('$')
			i++
		case c == '{' || c == '(':
			end := closing(text, i)
			if end < 0 {
				return "", fmt.Errorf("truncated macro reference: %q", text)
			}
			value, err := expandBraced(text[i+1:end], lookup, depth)
			if err != nil {
				return "", err
			}
			out.WriteString(value)
			i = end + 1
		default:
			end := i
			for end < len(text) && isNameByte(text[end]) {
				end++
			}
			value, ok := lookup(text[i:end])
			if !ok {
				return "", fmt.Errorf("unknown macro name %q in %q", text[i:end], text)
			}
			out.WriteString(value)
			i = end
		}
	}
	return out.String(), nil
}

// expandBraced expands what stands between the braces.
func expandBraced(inner string, lookup func(string) (string, bool), depth int) (string, error) {
	end := 0
	for end < len(inner) && isNameByte(inner[end]) {
		end++
	}
	name, rest := inner[:end], inner[end:]
	value, ok := lookup(name)
	if !ok {
		return "", fmt.Errorf("unknown macro name %q", name)
	}
	if rest == "" {
		return value, nil
	}
	op, rest := rest[0], rest[1:]
	if op != '?' && op != ':' {
		return "", fmt.Errorf("bad operator %q after macro name %q", op, name)
	}
	first, second := rest, ""
	if strings.HasPrefix(rest, "{") {
		close := closing(rest, 0)
		if close < 0 {
			return "", fmt.Errorf("missing '}' in %q", inner)
		}
		first = rest[1:close]
		if after := rest[close+1:]; strings.HasPrefix(after, ":{") && op == '?' && closing(after, 1) == len(after)-1 {
			second = after[2 : len(after)-1]
		} else if after != "" {
			return "", fmt.Errorf("syntax error after '}' in %q", inner)
		}
	}
	switch set := value != ""; {
	case set == (op == '?'):
		return expandLevel(first, lookup, depth+1)
	case op == '?':
		return expandLevel(second, lookup, depth+1)
	}
	return "", nil
}

// closing finds the bracket that closes the one at text[i], or -1.
func closing(text string, i int) int {
	open, shut := text[i], byte('}')
	if open == '(' {
		shut = ')'
	}
	depth := 0
	for ; i < len(text); i++ {
		switch text[i] {
		case open:
			depth++
		case shut:
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
