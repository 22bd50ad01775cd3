package dns

import (
	"net/netip"
	"strconv"
	"strings"
)

// ValidName tells whether s is a host name that may be looked up or shown:
// labels of 1 to 63 letters, digits, '-' and '_', neither beginning nor ending
// in '-', 255 bytes in all, and not numbers only (those are addresses). A final
// dot is not part of a name.
func ValidName(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	numeric := true
	for label := range strings.SplitSeq(s, ".") {
		n := len(label)
		if n == 0 || n > 63 || label[0] == '-' || label[n-1] == '-' {
			return false
		}
		for i := 0; i < n; i++ {
			c := label[i]
			switch {
			case c >= '0' && c <= '9':
			case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_':
				numeric = false
			default:
				return false
			}
		}
	}
	return !numeric
}

// hostOf checks a host name from an answer; the library has escaped odd bytes,
// and an escaped name is never valid. Some zones name an address where a name
// belongs; Postfix lets that pass, and so does numeric.
func hostOf(s string, numeric bool) (host string, ok bool) {
	s = strings.TrimSuffix(s, ".")
	if ValidName(s) {
		return s, true
	}
	if numeric {
		if _, err := netip.ParseAddr(s); err == nil {
			return s, true
		}
	}
	return "", false
}

// ReverseName is the name under which the PTR records of addr stand.
func ReverseName(addr netip.Addr) string {
	const digits = "0123456789abcdef"
	addr = addr.Unmap()
	var b strings.Builder
	if addr.Is4() {
		four := addr.As4()
		for i := 3; i >= 0; i-- {
			b.WriteString(strconv.Itoa(int(four[i])))
			b.WriteByte('.')
		}
		b.WriteString("in-addr.arpa")
		return b.String()
	}
	sixteen := addr.As16()
	for i := 15; i >= 0; i-- {
		b.WriteByte(digits[sixteen[i]&15])
		b.WriteByte('.')
		b.WriteByte(digits[sixteen[i]>>4])
		b.WriteByte('.')
	}
	b.WriteString("ip6.arpa")
	return b.String()
}
