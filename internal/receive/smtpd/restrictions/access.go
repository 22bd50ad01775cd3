package restrictions

import (
	"net/netip"
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/table"
)

func (e *eval) checkClientAccess(r *rule) result {
	return e.checkHost(r, e.q.Client.Name, e.q.Client.Address)
}

func (e *eval) checkReverseAccess(r *rule) result {
	return e.checkHost(r, e.q.Client.ReverseName, "")
}

func (e *eval) checkHost(r *rule, name, addr string) result {
	l := lookup{e: e, r: r, what: "Client host", shown: e.q.Client.Name + "[" + e.q.Client.Address + "]"}
	if l.domain(name) || addr != "" && l.address(addr) {
		return l.result
	}
	return dunno
}

func (e *eval) checkHeloAccess(r *rule) result {
	if e.q.Helo == "" {
		return dunno
	}
	l := lookup{e: e, r: r, what: "Helo command", shown: e.q.Helo}
	l.domain(e.q.Helo)
	return l.result
}

func (e *eval) checkEtrnAccess(r *rule) result {
	l := lookup{e: e, r: r, what: "Etrn command", shown: e.q.ETRN}
	l.domain(e.q.ETRN)
	return l.result
}

func (e *eval) checkSenderAccess(r *rule) result {
	if !e.q.HasSender {
		return dunno
	}
	l := lookup{e: e, r: r, what: "Sender address", shown: string(e.q.Sender)}
	if e.q.Sender == "" {
		l.one(e.c.p.NullLookupKey)
		return l.result
	}
	return l.mail(e.q.Sender, true)
}

func (e *eval) checkRecipientAccess(r *rule) result {
	if e.q.Recipient == "" {
		return dunno
	}
	l := lookup{e: e, r: r, what: "Recipient address", shown: string(e.q.Recipient)}
	return l.mail(e.q.Recipient, false)
}

// lookup is one search in an access table. Its methods try keys and return true
// when one was found; result then is what the entry says.
type lookup struct {
	e      *eval
	r      *rule
	what   string // of what is shown: `Sender address`
	shown  string // the value in the reply
	result result
}

// one tries a single key.
func (l *lookup) one(key string) bool {
	value, found, err := l.r.tab.Lookup(l.e.ctx, table.Fold(key))
	if l.r.tab.Kind != table.Exact && err == nil && !found {
		return false
	}
	if err != nil {
		l.e.c.deps.Log.Warning("%s: table lookup problem: %v", l.r.tab.Name, err)
		value, found = "451 4.3.5 Server configuration error", true
	}
	if found {
		l.result = l.apply(key, strings.TrimSpace(value))
	}
	return found
}

// domain tries a name and its parents.
func (l *lookup) domain(name string) bool {
	name = strings.TrimSuffix(name, ".")
	for key := name; key != ""; {
		if l.one(key) {
			return true
		}
		dot := strings.IndexByte(key[1:], '.')
		if dot < 0 || l.r.tab.Kind != table.Exact {
			return false
		}
		key = key[1+dot:]
		if l.e.c.parents {
			key = key[1:]
		}
	}
	return false
}

// address tries an address and the networks around it, by cutting off the
// last part again and again.
func (l *lookup) address(addr string) bool {
	sep := byte('.')
	if a, err := netip.ParseAddr(addr); err == nil && a.Is6() {
		sep = ':'
	}
	for {
		if l.one(addr) {
			return true
		}
		i := strings.LastIndexByte(addr, sep)
		if i <= 0 || l.r.tab.Kind != table.Exact {
			return false
		}
		addr = strings.TrimRight(addr[:i], string(sep))
	}
}

// mail tries the forms of an address: whole, without extension, its domain and
// parents, its local part.
func (l *lookup) mail(addr mail.Address, isSender bool) result {
	route, err := l.e.route(addr, isSender)
	if err != nil {
		return l.e.tempfail(string(addr), err)
	}
	full := string(addr)
	if route.Recipient != "" && !route.Invalid {
		full = string(route.Recipient)
	}
	if l.one(full) || l.r.tab.Kind != table.Exact {
		return l.result
	}
	local, domain := mail.Address(full).Split()
	base, extended := l.e.c.stripExtension(local)
	if extended && l.one(base+"@"+domain) {
		return l.result
	}
	if domain != "" && l.domain(domain) || l.one(local+"@") || extended && l.one(base+"@") {
		return l.result
	}
	return l.result
}

// stripExtension cuts the address extension off a local part.
func (c *Checker) stripExtension(local string) (base string, ok bool) {
	delims := c.p.Common.RecipientDelimiter
	i := strings.IndexAny(local, delims)
	if delims == "" || i <= 0 || strings.EqualFold(local, "mailer-daemon") ||
		strings.EqualFold(local, c.p.Common.DoubleBounceSender) {
		return local, false
	}
	return local[:i], true
}
