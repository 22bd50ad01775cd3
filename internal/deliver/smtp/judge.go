package smtp

import (
	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
)

// disconnected handles a session that broke while step v was under way.
func (t *transaction) disconnected(err error, v verb) bool {
	if v == verbRset {
		t.stale = true
		return false
	}
	t.fails(t.session.lost(err, doing[v]))
	return false
}

// receive reads and judges the next reply.
func (t *transaction) receive() bool {
	st := t.steps[t.received]
	r, err := t.session.reply(t.limit(st.verb), nil)
	if err != nil {
		return t.disconnected(err, st.verb)
	}
	t.received++
	switch st.verb {
	case verbRset:
		if r.Class() != 2 {
			t.stale = true
			return false
		}
	case verbXForward:
		if r.Class() != 2 {
			t.agent.deps.Log.Warning("host %s said: %s (in reply to %s)", t.session.peer.relay(), r.Line(), inReplyTo[st.verb])
		}
	case verbMail:
		if r.Class() != 2 {
			t.refusing = true
			t.fails(t.session.refused(r, inReplyTo[st.verb]))
		}
	case verbRcpt:
		t.rcptReply(st.index, r)
	case verbData:
		t.dataReply(r)
	}
	return !t.session.broken
}

// rcptReply judges the reply to RCPT. A reply that shows that we and the server
// are out of step concerns the recipients accepted before as well.
func (t *transaction) rcptReply(i int, r *smtp.ServerReply) {
	if t.refusing {
		return
	}
	if r.Class() == 2 {
		t.accepted = append(t.accepted, i)
		if !t.req.Envelope.Trace.Delivers() && t.agent.params.VerifyTarget == "rcpt" {
			t.succeed(i, r)
		}
		return
	}
	f := t.session.refused(r, inReplyTo[verbRcpt])
	switch {
	case r.Code == 421: // the rest fails when the server does close
		t.session.closing = true
	case f.broken:
		t.fails(f)
		return
	}
	t.failOne(i, f)
}

// dataReply judges the reply to DATA. A server that was told DATA ahead of its
// refusals may well say 354 (RFC 2920 section 3.1).
func (t *transaction) dataReply(r *smtp.ServerReply) {
	if r.Class() == 3 {
		t.goAhead = true
		if t.refusing {
			t.session.broken = true
		}
		if !t.req.Envelope.Trace.Delivers() {
			for _, i := range t.accepted {
				t.succeed(i, r)
			}
		}
		return
	}
	if t.refusing || len(t.accepted) == 0 && r.Class() != 2 {
		t.session.broken = t.session.broken || r.Code == 421
		return
	}
	t.fails(t.session.refused(r, inReplyTo[verbData]))
}

// failOne applies a failure to one recipient.
func (t *transaction) failOne(i int, f *failure) {
	f.status.Relay, f.status.ConnUse = t.session.peer.relay(), t.session.uses
	t.why = f
	if f.soft(t.agent.params.Common.SoftBounce) && !t.final {
		t.agent.deps.Log.Info("%s: %s", t.req.ID, f.status.Reason)
	}
	t.fail(i, f, t.final)
}

// succeed reports what the server took.
func (t *transaction) succeed(i int, r *smtp.ServerReply) {
	s := t.session
	st := mail.Sent(r.Enhanced, "%s", r.Line())
	if st.Code == "" {
		st.Code = "2.0.0" // 354 has no enhanced code
	}
	switch {
	case s.offers&offersDSN != 0:
		st.Action = mail.Passed
	case t.agent.lmtp && t.agent.params.AssumeFinal:
	default:
		st.Action = mail.Relayed
	}
	st.DiagType, st.DiagText = "smtp", r.Line()
	st.MTAType, st.MTAName = "dns", s.peer.host
	st.Relay, st.ConnUse = s.peer.relay(), s.uses
	t.finish(i, t.complete(st))
}

// fails applies a failure that concerns all recipients left.
func (t *transaction) fails(f *failure) {
	t.session.broken = t.session.broken || f.broken
	f.status.Relay, f.status.ConnUse = t.session.peer.relay(), t.session.uses
	t.failAll(f, t.final)
}
