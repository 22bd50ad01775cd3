package address

import (
	"context"
	"net/netip"
	"strings"

	"posthaste/internal/config"
	"posthaste/internal/table"
)

// Domains knows which domains are delivered by the local transport. It is safe
// for concurrent use.
type Domains struct {
	names *table.StringList
	own   map[netip.Addr]bool
}

// NewDomains makes a Domains. own are the addresses of inet_interfaces and
// proxy_interfaces, as numbers.
func NewDomains(c config.Common, o table.Opener, own []netip.Addr) *Domains {
	d := &Domains{names: table.NewStringList(o, "mydestination", c.MyDestination), own: make(map[netip.Addr]bool)}
	for _, a := range own {
		d.own[a.Unmap().WithZone("")] = true
	}
	return d
}

// Local tells whether domain is in mydestination, or is an address literal of
// this system.
func (d *Domains) Local(ctx context.Context, domain string) (bool, error) {
	domain = strings.TrimRight(domain, ".")
	if domain == "" {
		return false, nil
	}
	ok, err := d.names.Match(ctx, domain)
	if err != nil {
		return false, temporary(err)
	}
	if ok {
		return true, nil
	}
	a, literal := ParseLiteral(domain)
	return literal && d.own[a], nil
}

// ParseLiteral reads an address literal, `[192.0.2.1]` or `[IPv6:2001:db8::1]`
// (RFC 5321 section 4.1.3). The tag is not insisted on.
func ParseLiteral(s string) (a netip.Addr, ok bool) {
	if len(s) < 3 || s[0] != '[' || s[len(s)-1] != ']' {
		return a, false
	}
	s = s[1 : len(s)-1]
	if hasPrefixFold(s, "ipv6:") {
		s = s[len("ipv6:"):]
		a, err := netip.ParseAddr(s)
		return a.Unmap(), err == nil && !a.Is4() && a.Zone() == ""
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap(), err == nil && a.Zone() == ""
}

// validHost tells whether s can be a host name (RFC 1123 section 2.1, with
// '_' and bytes above 127 let pass). What is all digits and dots is not.
func validHost(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	start, numeric := 0, true
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			c := s[i]
			if !(c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c >= 0x80) {
				return false
			}
			numeric = numeric && c >= '0' && c <= '9'
			continue
		}
		if i == start || i-start > 63 || s[start] == '-' || s[i-1] == '-' {
			return false
		}
		start = i + 1
	}
	return !numeric
}
