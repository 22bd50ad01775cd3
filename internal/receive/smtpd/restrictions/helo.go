package restrictions

import (
	"net/netip"
	"strings"

	"posthaste/internal/mail"
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
	if _, err := netip.ParseAddr(name); err == nil || asciiDomain(name) {
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
	if asciiDomain(name) && !isNumeric(name) && strings.Contains(name, ".") {
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

// asciiDomain tells whether s is a host name as HELO takes it: not one in UTF-8,
// since the client cannot ask for SMTPUTF8 before.
func asciiDomain(s string) bool { return mail.IsASCII(s) && smtp.ValidDomain(s) }

func (e *eval) refuseHelo(code int, why string) result {
	return e.refuse(code, "5.5.2", "<"+e.q.Helo+">: Helo command rejected: "+why)
}

// isNumeric tells whether a name is made of digits and dots only: an address
// without brackets, or a part of one.
func isNumeric(name string) bool { return strings.Trim(name, "0123456789.") == "" }
