package restrictions

import (
	"strconv"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
)

func (e *eval) permitAll(*rule) result { return permit }

func (e *eval) never(*rule) result { return dunno }

func (e *eval) rejectAll(*rule) result {
	return e.refuseSubject(e.c.p.RejectCode, "5.7.1", "Access denied")
}

func (e *eval) deferAll(*rule) result {
	return e.refuseSubject(e.c.p.DeferCode, "4.3.2", "Try again later")
}

func (e *eval) setDeferIfPermit(*rule) result {
	return e.deferLater(&e.deferIfPermit, e.c.p.DeferCode, "4.3.2", "defer_if_permit requested")
}

func (e *eval) setDeferIfReject(*rule) result {
	return e.deferLater(&e.deferIfReject, e.c.p.DeferCode, "4.3.2", "defer_if_reject requested")
}

// deferLater notes a deferral that depends on what comes after. The first one
// stays.
func (e *eval) deferLater(slot **smtp.Reply, code int, enhanced, why string) result {
	value, what := e.list.subject(e.q)
	reply := smtp.Reply{Code: code, Enhanced: fitClass(enhanced, code), Text: "<" + value + ">: " + what + " rejected: " + why}
	if e.warnIfReject {
		e.q.Report("reject_warning", reply.String())
		return dunno
	}
	if *slot == nil {
		*slot = &reply
	}
	return dunno
}

func (e *eval) sleep(r *rule) result {
	n, err := strconv.Atoi(r.arg)
	if err != nil || n < 0 || time.Duration(n)*time.Second > maxSleep {
		e.c.deps.Log.Warning("restriction sleep must be followed by number")
		return e.misconfigured()
	}
	e.c.deps.Sleep(e.ctx, time.Duration(n)*time.Second)
	return dunno
}

func (e *eval) rejectPlaintext(*rule) result {
	return e.refuse(e.c.p.PlaintextCode, "5.7.1", "Session encryption is required")
}

// rejectPipelining refuses a client that sends ahead before it knows that
// pipelining works, or behind DATA (RFC 2920 section 3.1).
func (e *eval) rejectPipelining(*rule) result {
	if e.q.ESMTP && e.q.Where != "DATA" || e.q.Pipelined == nil || !e.q.Pipelined() {
		return dunno
	}
	value, what := e.list.subject(e.q)
	return e.refuseAs(mail.TroubleProtocol, 503, "5.5.0", "<"+value+">: "+what+" rejected: Improper use of SMTP command pipelining")
}

// rejectMultiBounce refuses a notice that goes to several recipients; a real
// one goes to one sender.
func (e *eval) rejectMultiBounce(*rule) result {
	n := e.q.Recipients
	if e.q.Where == "RCPT" {
		n++ // the one that is being checked
	}
	if !e.q.HasSender || e.q.Sender != "" || n <= 1 {
		return dunno
	}
	return e.refuseSubject(e.c.p.MultiBounceCode, "5.5.3", "Multi-recipient bounce")
}
