package restrictions

import (
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
)

func (e *eval) rejectNonFQDNSender(*rule) result {
	if !e.q.HasSender {
		return dunno
	}
	return e.nonFQDN(e.q.Sender, "Sender address")
}

func (e *eval) rejectNonFQDNRecipient(*rule) result {
	return e.nonFQDN(e.q.Recipient, "Recipient address")
}

func (e *eval) nonFQDN(addr mail.Address, what string) result {
	if addr == "" {
		return dunno
	}
	domain := strings.TrimSuffix(addr.Domain(), ".")
	if smtp.ValidLiteral(domain) || smtp.ValidDomain(domain) && strings.Contains(domain, ".") {
		return dunno
	}
	return e.refuse(e.c.p.NonFQDNCode, "5.5.2", "<"+string(addr)+">: "+what+" rejected: need fully-qualified address")
}

func (e *eval) rejectUnlistedSender(*rule) result {
	if !e.q.HasSender || e.q.Sender == "" {
		return dunno
	}
	e.fromDone = true
	return e.unlisted(e.q.Sender, true)
}

func (e *eval) rejectUnlistedRecipient(*rule) result {
	if e.q.Recipient == "" {
		return dunno
	}
	e.unlistedDone = true
	return e.unlisted(e.q.Recipient, false)
}

// unlisted refuses an address of a domain whose addresses are listed, and
// that is not among them.
func (e *eval) unlisted(addr mail.Address, isSender bool) result {
	what, enhanced := "Recipient address", "5.1.1"
	if isSender {
		what, enhanced = "Sender address", "5.1.0"
	}
	refusal, err := e.c.deps.Resolver.Unknown(e.ctx, e.q.Sender, addr)
	if err != nil {
		return e.tempfail(string(addr), err)
	}
	if refusal == nil {
		return dunno
	}
	if !strings.HasSuffix(refusal.Code, ".1.1") {
		enhanced = refusal.Code
	}
	return e.refuseAs(mail.TroubleBounce, refusal.Reply, enhanced, "<"+string(addr)+">: "+what+" rejected: "+refusal.Text)
}
