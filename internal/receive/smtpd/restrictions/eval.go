package restrictions

import (
	"context"
	"strconv"
	"strings"

	"posthaste/internal/address"
	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
)

// result is what one restriction says.
type result uint8

const (
	dunno result = iota
	permit
	reject
)

// eval is the state of one evaluation.
type eval struct {
	ctx   context.Context
	c     *Checker
	q     *Request
	list  listID
	depth int

	reply         smtp.Reply // of a reject
	warnIfReject  bool       // the next restriction only warns
	deferIfReject *smtp.Reply
	deferIfPermit *smtp.Reply
	unlistedDone  bool // reject_unlisted_recipient has been asked
	fromDone      bool // reject_unlisted_sender has been asked
}

// run evaluates a list: the first restriction that permits or rejects decides.
func (e *eval) run(id listID, rules list) result {
	saved := e.list
	e.list = id
	defer func() { e.list = saved }()
	for i := range rules {
		r := &rules[i]
		if r.name == "warn_if_reject" {
			e.warnIfReject = true
			continue
		}
		res := r.eval(e, r)
		e.warnIfReject = false
		if res != dunno {
			return res
		}
	}
	return dunno
}

// top evaluates one of the lists of main.cf from a clean state.
func (e *eval) top(id listID) result {
	e.warnIfReject, e.deferIfReject = false, nil
	return e.run(id, e.c.lists[id])
}

func (e *eval) class(r *rule) result {
	return e.deeper(r.sub, r.name)
}

// deeper evaluates a class or what an access table said.
func (e *eval) deeper(rules list, name string) result {
	if e.depth == maxDepth {
		e.c.deps.Log.Warning("%s causes unreasonable recursion", name)
		return e.misconfigured()
	}
	e.depth++
	defer func() { e.depth-- }()
	return e.run(e.list, rules)
}

func (e *eval) unknown(r *rule) result {
	e.c.deps.Log.Warning("unknown smtpd restriction: %q", r.name)
	return e.misconfigured()
}

func (e *eval) misconfigured() result {
	return e.refuseAs(mail.TroubleSoftware, 451, "4.3.5", "Server configuration error")
}

// refuse rejects by policy, unless the restriction is only to warn, or an
// earlier one asked for a deferral instead.
func (e *eval) refuse(code int, enhanced, text string) result {
	return e.refuseAs(mail.TroublePolicy, code, enhanced, text)
}

// refuseAs rejects for another kind of trouble.
func (e *eval) refuseAs(why mail.Trouble, code int, enhanced, text string) result {
	reply := smtp.Reply{Code: code, Enhanced: fitClass(enhanced, code), Text: printable(text), Close: code == 421 || code == 521}
	if e.warnIfReject {
		e.q.Report("reject_warning", reply.String())
		return dunno
	}
	if e.deferIfReject != nil && code/100 == 5 {
		reply = *e.deferIfReject
	}
	if e.c.p.Common.SoftBounce && reply.Code/100 == 5 {
		reply.Code -= 100
		reply.Enhanced = fitClass(reply.Enhanced, reply.Code)
	}
	e.reply = reply
	if e.q.Blame != nil {
		e.q.Blame(why)
	}
	e.q.Report("reject", reply.String())
	return reject
}

// printable puts blanks for control bytes that a table or a client brought in, so
// that a text of several lines reads as one.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

// refuseSubject rejects with the text `<value>: what rejected: why`.
func (e *eval) refuseSubject(code int, enhanced, why string) result {
	value, what := e.list.subject(e.q)
	return e.refuse(code, enhanced, "<"+value+">: "+what+" rejected: "+why)
}

// tempfail defers because a lookup failed.
func (e *eval) tempfail(value string, err error) result {
	e.c.deps.Log.Warning("%s: %v", value, err)
	return e.refuseAs(mail.TroubleData, 451, "4.3.0", "<"+value+">: Temporary lookup failure")
}

// fitClass makes an enhanced code agree with its reply code, as a table or a
// parameter may combine any two.
func fitClass(enhanced string, code int) string {
	if enhanced == "" {
		return ""
	}
	return strconv.Itoa(code/100) + enhanced[1:]
}

func (e *eval) route(addr mail.Address, isSender bool) (address.Route, error) {
	cache := &e.q.recipient
	if isSender {
		cache = &e.q.sender
	}
	if !cache.valid || cache.addr != addr {
		r, err := e.c.deps.Resolver.Resolve(e.ctx, e.q.Sender, addr)
		*cache = routeCache{addr: addr, route: r, err: err, valid: true}
	}
	return cache.route, cache.err
}
