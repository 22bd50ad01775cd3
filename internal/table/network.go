package table

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ParseNetwork reads an address pattern: an address, network/length, and both
// with the address in brackets. The bits beyond the length must be zero. The
// error says what is wrong with the pattern.
func ParseNetwork(pattern string) (netip.Prefix, error) {
	text, length, sized := strings.Cut(pattern, "/")
	if rest, ok := strings.CutPrefix(text, "["); ok {
		if !strings.HasSuffix(rest, "]") {
			// `[2001:db8::/32]` is accepted as well.
			if l, ok := strings.CutSuffix(length, "]"); ok && sized {
				length = l
			} else {
				return netip.Prefix{}, fmt.Errorf("missing ']' character after %q", pattern)
			}
		}
		text = strings.TrimSuffix(rest, "]")
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("bad address pattern: %q", pattern)
	}
	bits := addr.BitLen()
	if sized {
		n, err := strconv.ParseUint(length, 10, 8)
		if err != nil || int(n) > bits {
			return netip.Prefix{}, fmt.Errorf("bad mask length in %q", pattern)
		}
		bits = int(n)
	}
	prefix := netip.PrefixFrom(addr, bits)
	if masked := prefix.Masked(); masked != prefix {
		return netip.Prefix{}, fmt.Errorf("non-null host address bits in %q, perhaps you should use %q instead",
			pattern, masked.String())
	}
	return prefix, nil
}

// ParseAddress reads a client address for matching: brackets and a zone are
// dropped. ok is false for anything else.
func ParseAddress(text string) (addr netip.Addr, ok bool) {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	addr, err := netip.ParseAddr(text)
	return addr.WithZone(""), err == nil
}

// parseNetwork reads a pattern of a match list that may also hold names: only
// text made of the characters of an address is taken for one.
func parseNetwork(pattern string) (netip.Prefix, bool, error) {
	if pattern[0] != '[' && strings.Trim(pattern, "0123456789./") != "" {
		return netip.Prefix{}, false, nil
	}
	prefix, err := ParseNetwork(pattern)
	if err != nil {
		return prefix, false, err
	}
	return prefix, true, nil
}
