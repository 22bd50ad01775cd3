package smtpd

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"unicode/utf8"

	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
	"posthaste/internal/receive/smtpd/restrictions"
)

// session is one client's connection. Only its own goroutine uses it, except
// for link, which Drain may wake.
type session struct {
	srv    *Server
	ctx    context.Context
	link   *link
	in     *smtp.Reader
	limits Limits

	client   mail.Client
	addr     netip.Addr
	named    string // name[address], for the log
	local    string // server address and port
	port     string
	anvilKey anvilKey
	limited  bool // the per-client limits apply
	rewrite  bool // the client is not local: Origin.Remote
	bareLF   bareLFMode
	off      keywords // EHLO keywords not offered
	verp     bool     // the client may ask for VERP

	helo  string
	esmtp bool
	tx    transaction

	deferred restrictions.Deferred
	where    string // the last command, for the log
	counts   [numVerbs]struct{ ok, all int }
	errors   int
	junk     int
	tiny     int // BDAT commands with next to nothing in them
	small    []byte
	history  history
	ahead    bool  // input that came too early was logged
	unread   int64 // bytes of content before an abnormal end
	reason   string
	denied   bool // the client list refused the client; only QUIT works
}

// smallBuffer is the least buffer for commands; line_length_limit may want more.
const smallBuffer = 2048

func (s *Server) newSession(ctx context.Context, conn net.Conn) *session {
	limits := s.p.Limits
	if s.deps.StressLimits != nil && s.stressed() {
		limits = *s.deps.StressLimits
	}
	ses := &session{srv: s, ctx: ctx, limits: limits, where: "CONNECT"}
	ses.link = &link{conn: conn, timeout: limits.Timeout, perRequest: limits.PerRequestDeadline, rate: limits.MinDataRate}
	ses.small = make([]byte, max(smallBuffer, s.p.Common.LineLengthLimit+2))
	ses.in = smtp.NewReader(ses.link, ses.small)
	return ses
}

// serve is the life of a session.
func (s *session) serve() {
	defer s.link.conn.Close()
	defer s.guard()
	s.identify()
	s.srv.deps.Log.ClientConnect(s.named)
	defer s.logDisconnect()
	defer s.endTransaction()
	defer s.leave()
	if s.admit() {
		s.loop()
	}
	s.logReason()
	s.link.flush()
	s.closeHistory(0)
}

// guard ends a session in which the program failed; others go on.
func (s *session) guard() {
	if p := recover(); p != nil {
		s.srv.deps.Log.Warning("panic in session of %s after %s: %v: %s", s.named, s.where, p, debug.Stack())
		s.reply(smtp.Reply{Code: 421, Enhanced: "4.3.0", Text: s.myname() + " Server local error"})
		s.link.flush()
	}
}

func (s *session) myname() string { return s.srv.p.Common.MyHostname }

// loop reads commands and answers them.
func (s *session) loop() {
	for {
		if s.errors >= s.limits.HardErrors {
			s.reason = "too many errors"
			s.blame(mail.TroubleProtocol)
			s.reply(smtp.Reply{Code: 421, Enhanced: "4.7.0", Text: s.myname() + " Error: too many errors"})
			return
		}
		s.shrink()
		s.link.startRequest()
		line, end, err := s.in.ReadCommand()
		var r smtp.Reply
		var v verb
		switch {
		case err == nil:
			v, r = s.command(line, end)
		case errors.Is(err, smtp.ErrLineTooLong), errors.Is(err, smtp.ErrLineFlood):
			v, s.where = verbUnknown, "UNKNOWN"
			r = smtp.Reply{Code: 500, Enhanced: "5.5.2", Text: "Error: command too long", Close: errors.Is(err, smtp.ErrLineFlood)}
		default:
			s.readError(err)
			return
		}
		s.judge(s.tally(v, r))
		if r.Code != 0 {
			s.reply(r)
		}
		if r.Close || s.reason != "" {
			return
		}
		if s.link.mustStop() {
			s.readError(errDrain)
			return
		}
	}
}

// tally counts a command for the disconnect line and for the error limit, and
// tells whether it failed.
func (s *session) tally(v verb, r smtp.Reply) bool {
	if v == verbNone {
		s.errors++
		return true
	}
	s.counts[v].all++
	failed := r.Code >= 400 || r.Code == 0 && s.reason != "" || v == verbUnknown
	if !failed || s.tx.overshot {
		s.counts[v].ok++
		s.tx.overshot = false
		return false
	}
	s.errors++
	return r.Code != 0
}

// command interprets one line.
func (s *session) command(line []byte, end smtp.LineEnd) (verb, smtp.Reply) {
	if end == smtp.BareLF && s.bareLF == bareLFReject {
		s.request(s.where).Report("reject", bareLFText)
		r := s.refuseBareLF()
		r.Close = true
		return verbNone, r
	}
	if !smtp.IsClean(line) {
		s.where = "UNKNOWN"
		return verbUnknown, smtp.Reply{Code: 500, Enhanced: "5.5.2", Text: "Error: bad syntax"}
	}
	if s.srv.p.Common.SMTPUTF8Enable && !utf8.Valid(line) {
		s.where = "UNKNOWN"
		return verbNone, smtp.Reply{Code: 500, Enhanced: "5.5.2", Text: "Error: bad UTF-8 syntax"}
	}
	text := string(line)
	s.remember("In:  ", line)
	name, args := smtp.SplitCommand(text)
	if name == "" {
		s.where = "UNKNOWN"
		return verbNone, smtp.Reply{Code: 500, Enhanced: "5.5.2", Text: "Error: bad syntax"}
	}
	v := s.verbOf(name)
	s.where = name
	if v == verbUnknown {
		s.where = "UNKNOWN"
		if s.isForbidden(name, text) {
			s.srv.deps.Log.Warning("non-SMTP command from %s: %.100s", s.named, text)
			return v, smtp.Reply{Code: 221, Enhanced: "2.7.0", Text: "Error: I can break rules, too. Goodbye.", Close: true}
		}
	}
	if r, stop := s.pipelining(v); stop {
		return v, r
	}
	if s.denied && v != verbQUIT {
		s.blame(mail.TroublePolicy)
		return v, bad(503, "5.7.0", "Error: access denied for "+s.named)
	}
	if v.isJunk() {
		if s.junk > s.limits.JunkCommands {
			s.errors++
		}
		s.junk++
	}
	return v, s.run(v, args)
}

// run is the switch over the verbs.
func (s *session) run(v verb, args string) smtp.Reply {
	switch v {
	case verbHELO:
		return s.cmdHELO(args)
	case verbEHLO:
		return s.cmdEHLO(args)
	case verbMAIL:
		return s.cmdMAIL(args)
	case verbRCPT:
		return s.cmdRCPT(args)
	case verbDATA:
		return s.cmdDATA(args)
	case verbBDAT:
		return s.cmdBDAT(args)
	case verbRSET:
		return s.cmdRSET(args)
	case verbNOOP:
		return smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok"}
	case verbVRFY:
		return s.cmdVRFY(args)
	case verbETRN:
		return s.cmdETRN(args)
	case verbQUIT:
		return smtp.Reply{Code: 221, Enhanced: "2.0.0", Text: "Bye", Close: true}
	case verbSTARTTLS:
		return smtp.Reply{Code: 502, Enhanced: "5.5.1", Text: "Error: command not implemented"}
	case verbAUTH:
		return smtp.Reply{Code: 503, Enhanced: "5.5.1", Text: "Error: authentication not enabled"}
	case verbXCLIENT, verbXFORWARD:
		if s.tx.open {
			return bad(503, "5.5.1", "Error: MAIL transaction in progress")
		}
		if args == "" {
			return bad(501, "5.5.4", "Syntax: "+verbNames[v]+" attribute=value...")
		}
		s.blame(mail.TroublePolicy)
		return smtp.Reply{Code: 550, Enhanced: "5.7.0", Text: "Error: insufficient authorization"}
	}
	return smtp.Reply{Code: 500, Enhanced: "5.5.2", Text: "Error: command not recognized"}
}

// reply queues a reply; link sends it before the next wait. A client that
// makes many errors gets its replies late.
func (s *session) reply(r smtp.Reply) {
	if s.limits.SoftErrors > 0 && s.errors >= s.limits.SoftErrors {
		sleep(s.ctx, s.limits.ErrorSleep)
	}
	from := len(s.link.out)
	s.link.out = r.Append(s.link.out)
	s.remember("Out: ", s.link.out[from:])
}

// readError ends the session after a failed read.
func (s *session) readError(err error) {
	switch {
	case errors.Is(err, errDrain):
		s.reply(smtp.Reply{Code: 421, Enhanced: "4.3.2", Text: s.myname() + " Error: service is shutting down"})
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.reason = "timeout"
		s.link.setDeadline(s.link.deadline.Add(s.limits.Timeout))
		s.reply(smtp.Reply{Code: 421, Enhanced: "4.4.2", Text: s.myname() + " Error: timeout exceeded"})
	default:
		s.reason = "lost connection"
		s.link.out = s.link.out[:0]
	}
}

// grow takes a large buffer for content, shrink gives it back.
func (s *session) grow() {
	if !s.hasSmall() {
		return
	}
	buf := s.srv.big.Get().(*[]byte)
	s.in.Use(*buf)
}

func (s *session) shrink() {
	if s.hasSmall() {
		return
	}
	if old, ok := s.in.Use(s.small); ok {
		s.srv.big.Put(&old)
	}
}

func (s *session) hasSmall() bool { return s.in.Uses(s.small) }

func (s *session) logReason() {
	if s.reason != "" {
		s.srv.deps.Log.SessionBroken(s.messageID(), s.reason, s.where, s.unread, s.named)
	}
}

// messageID is the queue id of the message in hand, or empty.
func (s *session) messageID() mail.QueueID {
	if s.tx.msg == nil {
		return ""
	}
	return s.tx.msg.ID()
}
