// Package mail holds the words every part of Posthaste speaks in: addresses,
// recipients, envelopes, queue ids and delivery status. It does no I/O and
// imports nothing of ours.
package mail

import "strings"

// Address is an e-mail address in internal form: the local part is not quoted,
// so `"john doe"@a.test` is held as `john doe@a.test`. The empty Address is the
// null sender `<>`. Bytes are kept as they came; no character set is implied.
type Address string

// Split cuts the address at its last '@'. An address without '@' is all local
// part and has an empty domain.
func (a Address) Split() (local, domain string) {
	if i := strings.LastIndexByte(string(a), '@'); i >= 0 {
		return string(a[:i]), string(a[i+1:])
	}
	return string(a), ""
}

// Local is the part before the last '@'.
func (a Address) Local() string { l, _ := a.Split(); return l }

// Domain is the part after the last '@', or empty.
func (a Address) Domain() string { _, d := a.Split(); return d }

// Quoted returns the external form (RFC 5321 section 4.1.2, without angle
// brackets): the local part is quoted when it is not a dot-string. The null
// address stays empty.
func (a Address) Quoted() string {
	at := strings.LastIndexByte(string(a), '@')
	local, rest := string(a), ""
	if at >= 0 {
		local, rest = string(a[:at]), string(a[at:])
	}
	if local == "" && rest == "" || isDotString(local) {
		return string(a)
	}
	var b strings.Builder
	b.Grow(len(a) + 4)
	b.WriteByte('"')
	for i := 0; i < len(local); i++ {
		if c := local[i]; c == '"' || c == '\\' || c == '\r' || c == '\n' {
			b.WriteByte('\\')
		}
		b.WriteByte(local[i])
	}
	b.WriteByte('"')
	b.WriteString(rest)
	return b.String()
}

// isDotString tells whether s is atoms joined by single dots (RFC 5321
// section 4.1.2). Bytes above 127 count as atom text, as RFC 6531 wants.
func isDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '.' {
			if s[i-1] == '.' {
				return false
			}
			continue
		}
		if c <= ' ' || c == 0x7f || strings.IndexByte(`()<>@,;:\"[]`, c) >= 0 {
			return false
		}
	}
	return true
}

// IsASCII tells whether s has no byte above 127.
func IsASCII[Text string | []byte](s Text) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// LowerASCII is s with its ASCII letters in lower case, and all other bytes as they are.
func LowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// CommentLength is the length of the comment that s begins with (RFC 5322
// section 3.2.2), 0 when it does not end.
func CommentLength(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// VERP is the sender for one recipient (variable envelope return path):
// list@origin with the delimiters += and user@domain gives
// list+user=domain@origin. The recipient is taken as the sender named it.
func (a Address) VERP(delims string, r Recipient) Address {
	to := r.Original
	if to == "" {
		to = r.Address
	}
	if a == "" || len(delims) != 2 {
		return a
	}
	local, domain := a.Split()
	user, site := to.Split()
	out := local + delims[:1] + user
	if site != "" {
		out += delims[1:] + site
	}
	if domain != "" {
		out += "@" + domain
	}
	return Address(out)
}
