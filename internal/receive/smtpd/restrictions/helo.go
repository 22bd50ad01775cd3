package restrictions

import (
	"net/netip"
	"strings"

	"posthaste/internal/protocol/smtp"
)

func (e *eval) rejectInvalidHelo(*rule) result {
	name := strings.TrimSuffix(e.q.Helo, ".")
	if name == "" {
		return dunno
	}
	if name[0] == '[' {
		return e.checkLiteral(name)
	}
	if _, err := netip.ParseAddr(name); err == nil || smtp.ValidDomain(name) {
		return dunno
	}
	return e.refuseHelo(e.c.p.InvalidHeloCode, "Invalid name")
}

func (e *eval) rejectNonFQDNHelo(*rule) result {
	name := strings.TrimSuffix(e.q.Helo, ".")
	if name == "" {
		return dunno
	}
	if name[0] == '[' {
		return e.checkLiteral(name)
	}
	if smtp.ValidDomain(name) && !isNumeric(name) && strings.Contains(name, ".") {
		return dunno
	}
	return e.refuseHelo(e.c.p.NonFQDNCode, "need fully-qualified hostname")
}

func (e *eval) checkLiteral(name string) result {
	if smtp.ValidLiteral(name) {
		return dunno
	}
	return e.refuseHelo(e.c.p.InvalidHeloCode, "invalid ip address")
}

func (e *eval) refuseHelo(code int, why string) result {
	return e.refuse(code, "5.5.2", "<"+e.q.Helo+">: Helo command rejected: "+why)
}

// isNumeric tells whether a name is made of digits and dots only: an address
// without brackets, or a part of one.
func isNumeric(name string) bool { return strings.Trim(name, "0123456789.") == "" }
