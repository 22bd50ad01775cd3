package smtp

import (
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
)

// transaction is one message over one session.
type transaction struct {
	*delivery
	session *session
	final   bool // no other server follows: soft failures are results

	steps    []step
	forward  []string // XFORWARD commands
	sent     int
	received int
	accepted []int // recipients the server took, in order
	refusing bool  // MAIL was refused: what follows is only read
	goAhead  bool  // the server waits for the content
	stale    bool  // a kept session was dead before anything was sent over it
}

// step is a command of the envelope.
type step struct {
	verb  verb
	index int // RCPT: the recipient; XFORWARD: the command
}

type verb uint8

const (
	verbRset verb = iota
	verbXForward
	verbMail
	verbRcpt
	verbData
)

// Postfix's words for what is being done and what was answered.
var (
	doing     = [...]string{"sending RSET probe", "sending XFORWARD name/address", "sending MAIL FROM", "sending RCPT TO", "sending DATA command"}
	inReplyTo = [...]string{"RSET command", "XFORWARD name/address command", "MAIL FROM command", "RCPT TO command", "DATA command"}
)

const (
	doingBody    = "sending message body"
	doingDot     = "sending end of data -- message may be sent more than once"
	inReplyToDot = "end of DATA command"
)

// pipelineBytes is how much is sent ahead of the replies (RFC 2920 section
// 3.1): little enough that neither side's buffers fill up and both wait.
const pipelineBytes = 8 << 10

// run sends the envelope, and the content if any recipient was accepted.
func (t *transaction) run() {
	if f := t.unfit(); f != nil {
		t.fails(f)
		return
	}
	if t.session.uses > 1 {
		// RSET also tells whether the server is still there.
		t.steps = append(t.steps, step{verb: verbRset})
	}
	if t.agent.params.SendXForward {
		t.forward = xforward(t.session.offers, &t.req.Envelope.Origin)
		for i := range t.forward {
			t.steps = append(t.steps, step{verbXForward, i})
		}
	}
	t.steps = append(t.steps, step{verb: verbMail})
	for i := range t.rcpts {
		if !t.rcpts[i].finished {
			t.steps = append(t.steps, step{verbRcpt, i})
		}
	}
	probe := !t.req.Envelope.Trace.Delivers()
	if !probe || t.agent.params.VerifyTarget == "data" {
		t.steps = append(t.steps, step{verb: verbData})
	}
	if !t.talk() {
		return
	}
	switch {
	case !t.goAhead:
	case probe:
		t.session.broken = true // there is no way back from DATA without content
	case len(t.accepted) == 0:
		t.sendNothing()
	default:
		t.sendContent()
	}
}

// unfit tells why the message cannot go to this server at all.
func (t *transaction) unfit() *failure {
	s := t.session
	if s.sizeLimit > 0 && s.sizeLimit < t.req.Size {
		return local("5.3.4", "message size %d exceeds size limit %d of server %s", t.req.Size, s.sizeLimit, s.peer.name())
	}
	if s.offers&offersUTF8 == 0 && t.needsUTF8() {
		f := local("5.6.7", "SMTPUTF8 is required, but was not offered by host %s", s.peer.name())
		if !t.final {
			f.status.Code = "4.6.7" // another server may offer it
			f.classify()
		}
		return f
	}
	if _, err := t.mail().Append(nil); err != nil {
		return local("5.1.7", "bad address syntax: %s in sender or envelope id", err)
	}
	return nil
}

func (t *transaction) needsUTF8() bool {
	e := &t.req.Envelope
	if e.Options.NeedsSMTPUTF8() {
		return true
	}
	for i := range t.rcpts {
		if e.Options&mail.OptionSMTPUTF8 != 0 && !t.rcpts[i].finished && !mail.IsASCII(string(t.req.Recipients[i].Address)) {
			return true
		}
	}
	return false
}

// talk exchanges the commands of the envelope, many at a time when the server
// allows it. It returns false when the session ended.
func (t *transaction) talk() bool {
	for t.received < len(t.steps) && !t.pointless() {
		if !t.sendSome() {
			return false
		}
		for t.received < t.sent {
			if !t.receive() {
				return false
			}
		}
	}
	return true
}

// pointless tells whether the commands not sent yet need not be.
func (t *transaction) pointless() bool {
	return t.refusing || t.steps[t.sent].verb == verbData && len(t.accepted) == 0
}

// sendSome sends the next command, or as many as fit the pipeline.
func (t *transaction) sendSome() bool {
	s := t.session
	for t.sent < len(t.steps) {
		st := t.steps[t.sent]
		if !t.appendStep(st) { // the address cannot be sent
			t.steps = append(t.steps[:t.sent], t.steps[t.sent+1:]...)
			if t.sent < len(t.steps) && t.sent == t.received && t.pointless() {
				return true
			}
			continue
		}
		t.sent++
		if s.offers&offersPipelining == 0 || len(s.out) >= pipelineBytes {
			break
		}
	}
	if len(s.out) == 0 {
		return true
	}
	first := t.steps[t.received].verb
	if err := s.flush(t.limit(first)); err != nil {
		return t.disconnected(err, first)
	}
	return true
}

// appendStep adds the command of a step to what is sent next.
func (t *transaction) appendStep(st step) bool {
	s := t.session
	switch st.verb {
	case verbRset:
		s.out = append(s.out, "RSET\r\n"...)
	case verbXForward:
		s.out = append(append(s.out, t.forward[st.index]...), "\r\n"...)
	case verbMail:
		s.out, _ = t.mail().Append(s.out) // unfit has checked it
	case verbRcpt:
		out, err := t.rcpt(st.index).Append(s.out)
		if err != nil {
			t.failOne(st.index, local("5.1.3", "bad address syntax: %s", err))
			return false
		}
		s.out = out
	case verbData:
		s.out = append(s.out, "DATA\r\n"...)
	}
	return true
}

// mail is the MAIL command for what the server offers.
func (t *transaction) mail() smtp.Mail {
	e, offers := &t.req.Envelope, t.session.offers
	m := smtp.Mail{Sender: e.Sender}
	if offers&offersSize != 0 {
		m.Size = t.req.Size
	}
	if offers&offers8BitMIME != 0 {
		m.Body = e.Encoding
	}
	if offers&offersDSN != 0 {
		m.EnvID, m.Return = e.EnvelopeID, e.Return
	}
	m.SMTPUTF8 = offers&offersUTF8 != 0 && e.Options&mail.OptionSMTPUTF8 != 0
	return m
}

// rcpt is the RCPT command for what the server offers.
func (t *transaction) rcpt(i int) smtp.Rcpt {
	r := &t.req.Recipients[i]
	c := smtp.Rcpt{Recipient: r.Address}
	if t.session.offers&offersDSN != 0 {
		c.Notify = r.Notify
		if c.Original = r.DSNOriginal; c.Original == "" {
			c.Original = smtp.OriginalRecipient(r.Original)
		}
	}
	return c
}

// limit is the time limit for a command.
func (t *transaction) limit(v verb) time.Duration {
	p := &t.agent.params
	return [...]time.Duration{p.RsetTimeout, p.XForwardTimeout, p.MailTimeout, p.RcptTimeout, p.DataInitTimeout}[v]
}
