package smtp

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"posthaste/internal/mail"
)

// ErrPath says that a path is not an address this server can take.
var ErrPath = errors.New("bad address syntax")

// ParsePath turns the path of MAIL or RCPT into an address in internal form.
// Source routes are dropped (RFC 5321 section 4.1.1.3). What Postfix lets pass is
// let pass: dots in odd places, an unquoted second '@', white space around the
// address, brackets too many; without strict also missing angle brackets and
// comments. The null path `<>` gives the empty address.
func ParsePath(path string, strict bool) (mail.Address, error) {
	inner, bracketed := strings.CutPrefix(path, "<")
	if strict && !bracketed {
		return "", ErrPath
	}
	closed := strings.TrimRight(inner, ">")
	if bracketed && closed == inner {
		return "", ErrPath
	}
	inner = strings.Trim(strings.TrimLeft(closed, "<"), " \t")
	if !utf8.ValidString(inner) {
		return "", ErrPath
	}
	inner, err := dropRoute(inner)
	if err != nil {
		return "", err
	}
	if inner == "" {
		if !bracketed {
			return "", ErrPath
		}
		return "", nil
	}
	return parseMailbox(inner, strict)
}

// dropRoute removes `@a,@b:` from the front.
func dropRoute(s string) (string, error) {
	if !strings.HasPrefix(s, "@") {
		return s, nil
	}
	colon := strings.IndexByte(s, ':')
	if colon < 0 {
		return s, nil // `<@domain>`: an empty local part
	}
	for _, hop := range strings.Split(s[:colon], ",") {
		name, ok := strings.CutPrefix(strings.TrimSpace(hop), "@")
		if !ok || !ValidDomain(name) {
			// A ':' that belongs to something else, as in an IPv6 literal.
			return s, nil
		}
	}
	return s[colon+1:], nil // nothing behind the route is the null address
}

// parseMailbox reads words joined by '.', '@' and the like. The last '@' begins
// the domain, which must be a host name or an address literal.
func parseMailbox(s string, strict bool) (mail.Address, error) {
	local := make([]byte, 0, len(s))
	afterWord, afterQuoted := false, false
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"':
			if afterWord || afterQuoted {
				return "", ErrPath
			}
			text, n, ok := unquote(s[i:])
			if !ok {
				return "", ErrPath
			}
			local = append(local, text...)
			i += n
			afterQuoted = true
		case c == '@':
			rest := strings.TrimLeft(s[i+1:], " \t")
			if !strict {
				rest = dropComment(rest)
			}
			if isDomain(rest) {
				if strict && len(local) == 0 {
					return "", ErrPath
				}
				return finish(string(local), rest)
			}
			if rest == "" || rest[0] == '@' || !strings.Contains(rest, "@") {
				return "", ErrPath
			}
			local = append(local, c)
			i++
			afterWord, afterQuoted = false, false
		case c == ' ' || c == '\t' || c == '(' && !strict:
			// Only white space and comments around '@' or '.' are let pass.
			n := blankLength(s[i:])
			if i += n; n == 0 || i < len(s) && s[i] != '@' && s[i] != '.' && (afterWord || afterQuoted) {
				return "", ErrPath
			}
		case c == '.':
			local = append(local, c)
			i++
			afterWord, afterQuoted = false, false
		case c < ' ' || c == 0x7f || strings.IndexByte("<>([,;", c) >= 0 || afterQuoted:
			return "", ErrPath
		case c == '\\':
			if i+1 >= len(s) || s[i+1] < ' ' || s[i+1] == 0x7f {
				return "", ErrPath
			}
			local = append(local, s[i+1])
			i += 2
			afterWord = true
		default:
			local = append(local, c)
			i++
			afterWord = true
		}
	}
	if len(local) == 0 {
		return "", ErrPath
	}
	return finish(string(local), "")
}

// blankLength is the length of the white space and comments that s begins with,
// 0 when a comment does not end.
func blankLength(s string) int {
	n := 0
	for n < len(s) {
		switch s[n] {
		case ' ', '\t':
			n++
			continue
		case '(':
			c := mail.CommentLength(s[n:])
			if n += c; c == 0 {
				return 0
			}
			continue
		}
		return n
	}
	return n
}

// dropComment removes a comment behind a domain.
func dropComment(s string) string {
	if i := strings.IndexByte(s, '('); i >= 0 && mail.CommentLength(s[i:]) == len(s)-i {
		return strings.TrimRight(s[:i], " \t")
	}
	return s
}

// isDomain tells whether s as a whole can be the domain of an address.
func isDomain(s string) bool {
	return ValidDomain(s) || ValidLiteral(s)
}

func finish(local, domain string) (mail.Address, error) {
	if domain == "" {
		// A quoted '@' without a domain after it: in internal form the text
		// behind it is the domain, and is treated as one from here on.
		if i := strings.LastIndexByte(local, '@'); i >= 0 && !isDomain(local[i+1:]) {
			return "", ErrPath
		}
		return mail.Address(local), nil
	}
	return mail.Address(local + "@" + domain), nil
}

// unquote reads a quoted string at the start of s; n is its length.
func unquote(s string) (text string, n int, ok bool) {
	b := make([]byte, 0, len(s))
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			return string(b), i + 1, true
		case c == '\\' && i+1 < len(s):
			i++
			c = s[i]
		}
		if c == 0 || c == '\r' || c == '\n' {
			return "", 0, false
		}
		b = append(b, c)
	}
	return "", 0, false
}

// ValidDomain tells whether s is a syntactically valid host name: labels of 1
// to 63 bytes of letters, digits, '-' and '_', not beginning or ending in '-';
// one final dot is let pass, and so are bytes above 127 (RFC 6531).
func ValidDomain(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 255 {
		return false
	}
	start, digitsOnly := 0, true // a name of digits and dots only is no host name
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			c := s[i]
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c >= 0x80) {
				return false
			}
			digitsOnly = digitsOnly && c >= '0' && c <= '9'
			continue
		}
		if i == start || i-start > 63 || s[start] == '-' || s[i-1] == '-' {
			return false
		}
		start = i + 1
	}
	return !digitsOnly
}

// ValidLiteral tells whether s is an address literal: [1.2.3.4] or [IPv6:…].
func ValidLiteral(s string) bool {
	in, ok := strings.CutPrefix(s, "[")
	if !ok {
		return false
	}
	if in, ok = strings.CutSuffix(in, "]"); !ok {
		return false
	}
	if len(in) > 5 && strings.EqualFold(in[:5], "IPv6:") {
		a, err := netip.ParseAddr(in[5:])
		return err == nil && a.Is6() && a.Zone() == ""
	}
	a, err := netip.ParseAddr(in)
	return err == nil && a.Is4()
}
