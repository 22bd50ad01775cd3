package restrictions

import "posthaste/internal/address"

func (e *eval) permitAuthDestination(*rule) result {
	ok, res := e.authorized()
	if res == dunno && ok {
		return permit
	}
	return res
}

func (e *eval) rejectUnauthDestination(*rule) result {
	return e.unauth(e.c.p.RelayRejectCode, "5.7.1")
}

func (e *eval) deferUnauthDestination(*rule) result {
	return e.unauth(e.c.p.RelayRejectCode-100, "4.7.1")
}

func (e *eval) unauth(code int, enhanced string) result {
	ok, res := e.authorized()
	if res != dunno || ok {
		return res
	}
	return e.refuse(code, enhanced, "<"+string(e.q.Recipient)+">: Relay access denied")
}

// authorized tells whether this system is responsible for the recipient. An
// address that names a further hop in its local part would leave the system
// after all, so it is none of ours (allow_untrusted_routing). res is reject
// when the answer could not be found.
func (e *eval) authorized() (ok bool, res result) {
	if e.q.Recipient == "" {
		return false, dunno
	}
	route, err := e.route(e.q.Recipient, false)
	if err != nil {
		return false, e.tempfail(string(e.q.Recipient), err)
	}
	if route.Invalid || route.Routed && !e.c.p.UntrustedRouting {
		return false, dunno
	}
	return route.Class != address.ClassDefault, dunno
}
