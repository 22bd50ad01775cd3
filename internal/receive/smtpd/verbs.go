package smtpd

import (
	"strconv"
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/protocol/smtp"
)

// verb is a command, in the order of the disconnect log line.
type verb uint8

const (
	verbHELO verb = iota
	verbEHLO
	verbXCLIENT
	verbXFORWARD
	verbSTARTTLS
	verbAUTH
	verbMAIL
	verbRCPT
	verbDATA
	verbBDAT
	verbRSET
	verbNOOP
	verbVRFY
	verbETRN
	verbQUIT
	verbUnknown
	numVerbs
	verbNone = numVerbs // no command: an error, and not counted as a command
)

var verbNames = [numVerbs]string{"HELO", "EHLO", "XCLIENT", "XFORWARD", "STARTTLS", "AUTH", "MAIL", "RCPT",
	"DATA", "BDAT", "RSET", "NOOP", "VRFY", "ETRN", "QUIT", "UNKNOWN"}

func (s *session) verbOf(name string) verb {
	for v, n := range verbNames[:verbUnknown] {
		if n == name {
			return verb(v)
		}
	}
	for _, n := range s.srv.p.NoopCommands {
		if strings.EqualFold(n, name) {
			return verbNOOP
		}
	}
	return verbUnknown
}

// isJunk tells whether a command does no work towards delivery
// (smtpd_junk_command_limit).
func (v verb) isJunk() bool {
	switch v {
	case verbHELO, verbEHLO, verbRSET, verbNOOP, verbVRFY, verbETRN:
		return true
	}
	return false
}

// endsGroup tells whether a command must be the last of a pipelined group (RFC
// 2920 section 3.1).
func (v verb) endsGroup() bool {
	switch v {
	case verbHELO, verbEHLO, verbSTARTTLS, verbAUTH, verbDATA, verbNOOP, verbVRFY, verbXCLIENT, verbXFORWARD:
		return true
	}
	return false
}

// pipelining looks for input that the client must not have sent yet: behind a
// command that ends a group, or at all when EHLO has not told it that it may.
func (s *session) pipelining(v verb) (smtp.Reply, bool) {
	if s.esmtp && !v.endsGroup() || v == verbUnknown || v == verbQUIT || !s.pending() {
		return smtp.Reply{}, false
	}
	return s.outOfStep()
}

// pending tells whether there is input that was not asked for yet. A program
// may hand in a whole dialogue at once when there is nobody to talk with.
func (s *session) pending() bool {
	if s.srv.deps.StandAlone {
		return false
	}
	return len(s.in.Buffered()) > 0 || s.link.hasPending()
}

// outOfStep logs early input and, as configured, ends the session.
func (s *session) outOfStep() (smtp.Reply, bool) {
	if len(s.in.Buffered()) == 0 {
		if err := s.in.Fill(); err != nil {
			return smtp.Reply{}, false // the main loop meets the error again
		}
	}
	if ahead := s.in.Buffered(); !s.ahead { // once is enough
		s.srv.deps.Log.EarlyInput(s.where, s.named, escape(ahead[:min(len(ahead), 100)]))
		s.ahead = true
	}
	if !s.srv.p.ForbidPipelining {
		return smtp.Reply{}, false
	}
	return smtp.Reply{Code: 554, Enhanced: "5.5.0", Text: "Error: SMTP protocol synchronization", Close: true}, true
}

// escape shows bytes in a log line, with C escapes for what cannot be printed.
func escape(b []byte) string {
	q := strconv.AppendQuoteToASCII(nil, string(b))
	return strings.ReplaceAll(string(q[1:len(q)-1]), `\"`, `"`)
}

// isForbidden tells whether a line is a command, or looks like a message
// header, that only something else than an SMTP client sends.
func (s *session) isForbidden(name, line string) bool {
	found, err := s.srv.forbid.Match(s.ctx, name)
	if err != nil {
		s.srv.deps.Log.Warning("%v", err)
	}
	return found || looksLikeHeader(line)
}

// looksLikeHeader tells whether a line begins as `Name:`.
func looksLikeHeader(line string) bool {
	i := strings.IndexByte(line, ':')
	if i <= 0 {
		return false
	}
	for _, c := range []byte(strings.TrimRight(line[:i], " \t")) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// admit applies the limits of the client and of its first words, and greets it.
func (s *session) admit() bool {
	if r := s.tooMany(); r != nil {
		s.reply(*r)
		return false
	}
	if s.pending() {
		if r, stop := s.outOfStep(); stop {
			s.blame(mail.TroubleProtocol)
			s.reply(r)
			return false
		}
	}
	if r := s.srv.check.Connect(s.ctx, s.request("CONNECT")); r != nil {
		s.reply(*r)
		s.denied = true
		return !r.Close
	}
	s.reply(smtp.Reply{Code: 220, Text: s.srv.p.Banner})
	return true
}

// tooMany counts the connection, and refuses it when there are too many.
func (s *session) tooMany() *smtp.Reply {
	p := &s.srv.p.Anvil
	count, rate := s.srv.anvil.connect(s.anvilKey)
	if !s.limited {
		return nil
	}
	what, n := "", 0
	switch {
	case p.ConnectionCount > 0 && count > p.ConnectionCount:
		what, n = "concurrency", count
	case p.ConnectionRate > 0 && rate > p.ConnectionRate:
		what, n = "rate", rate
	default:
		return nil
	}
	s.blame(mail.TroublePolicy)
	s.srv.deps.Log.Warning("Connection %s limit exceeded: %d from %s for service %s", what, n, s.named, s.srv.deps.Service)
	return &smtp.Reply{Code: 421, Enhanced: "4.7.0",
		Text: s.myname() + " Error: too many connections from " + s.client.Address, Close: true}
}

func (s *session) leave() { s.srv.anvil.disconnect(s.anvilKey) }

// overRate counts an event and tells, and logs, whether the client had too many.
func (s *session) overRate(e event, limit int, what string) bool {
	if limit <= 0 || !s.limited {
		return false
	}
	n := s.srv.anvil.count(s.anvilKey, e)
	if n <= limit {
		return false
	}
	s.blame(mail.TroublePolicy)
	s.srv.deps.Log.Warning("%s rate limit exceeded: %d from %s for service %s", what, n, s.named, s.srv.deps.Service)
	return true
}

// logDisconnect writes the line that ends a session, with the number of each
// command: successful/all.
func (s *session) logDisconnect() {
	counts := make([]maillog.CommandCount, 0, 8)
	for v, c := range s.counts {
		if c.all > 0 {
			counts = append(counts, maillog.CommandCount{Name: strings.ToLower(verbNames[v]), OK: c.ok, All: c.all})
		}
	}
	s.srv.deps.Log.ClientDisconnect(s.named, counts)
}
