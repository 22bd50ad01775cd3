package smtp

import "errors"

// ErrXtext says that a text is not xtext.
var ErrXtext = errors.New("bad xtext")

// DecodeXtext decodes xtext (RFC 3461 section 4). Encoded control bytes are an
// error: the result ends up in log lines, headers and other commands. A bare
// '=' is let pass.
func DecodeXtext(s string) (string, error) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			if i+2 >= len(s) {
				return "", ErrXtext
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi < 0 || lo < 0 {
				return "", ErrXtext
			}
			i += 2
			c = byte(hi<<4 | lo)
			if c < ' ' || c == 0x7f {
				return "", ErrXtext
			}
		case c <= ' ' || c == 0x7f:
			return "", ErrXtext
		}
		b = append(b, c)
	}
	return string(b), nil
}

// AppendXtext appends s encoded as xtext.
func AppendXtext(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '+' || c == '=' {
			b = append(b, '+', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
