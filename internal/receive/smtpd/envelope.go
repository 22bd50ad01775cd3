package smtpd

import (
	"errors"
	"strings"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
	"posthaste/internal/receive/smtpd/restrictions"
)

// transaction is one message from MAIL to its end.
type transaction struct {
	open      bool // MAIL was accepted
	env       mail.Envelope
	params    smtp.MailParams
	rcpts     int
	first     mail.Address // the first accepted recipient
	overshoot int
	overshot  bool // the last RCPT was over the limit, and not an error
	msg       Message
	actions   restrictions.Actions
	chunks    *smtp.ChunkReader
	size      int64 // bytes of content so far
	failed    bool  // a chunk was refused; what follows it is not taken
}

// endTransaction forgets the transaction; a message that was not committed is
// gone.
func (s *session) endTransaction() {
	if s.tx.msg != nil {
		s.tx.msg.Discard()
	}
	s.tx = transaction{}
	s.deferred.ResetSender()
	s.link.setInMail(false)
}

func (s *session) cmdRSET(args string) smtp.Reply {
	if args != "" {
		return smtp.Reply{Code: 501, Enhanced: "5.5.4", Text: "Syntax: RSET"}
	}
	s.closeHistory(s.srv.p.HistoryThreshold)
	s.endTransaction()
	return smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok"}
}

func (s *session) cmdMAIL(args string) smtp.Reply {
	p := &s.srv.p
	switch {
	case s.helo == "" && p.HeloRequired:
		s.blame(mail.TroublePolicy)
		return bad(503, "5.5.1", "Error: send HELO/EHLO first")
	case s.tx.open:
		return bad(503, "5.5.1", "Error: nested MAIL command")
	case s.tx.failed:
		return bad(503, "5.5.1", "Error: MAIL after BDAT")
	case s.overRate(messageEvent, p.Anvil.MessageRate, "Message delivery request"):
		return bad(450, "4.7.1", "Error: too much mail from "+s.client.Address)
	}
	path, words, ok := smtp.SplitPath(args, "FROM:")
	if !ok {
		return bad(501, "5.5.4", "Syntax: MAIL FROM:<address>")
	}
	sender, err := s.parsePath("MAIL", path)
	if err != nil {
		return bad(501, "5.1.7", "Bad sender address syntax")
	}
	var params smtp.MailParams
	for _, w := range words {
		if r := s.mailParam(&params, w); r != nil {
			return *r
		}
	}
	if needsUTF8(sender) && !params.SMTPUTF8 {
		s.warnAddress("MAIL", path)
		return bad(501, "5.1.7", "Bad sender address syntax")
	}
	if p.StrictSMTPUTF8 && !params.SMTPUTF8 && !mail.IsASCII(string(sender)) {
		return bad(553, "5.6.7", "Must declare SMTPUTF8 to send unicode address")
	}
	if params.HasVERP && sender == "" {
		return bad(503, "5.5.4", "Error: XVERP requires non-null sender")
	}
	now := time.Now()
	tx := transaction{open: true, params: params, env: s.envelope(sender, &params, now)}
	old := s.tx
	s.tx = tx
	q := s.request("MAIL")
	r := s.checkSize(q, params.Size)
	if r == nil {
		r = s.srv.check.Mail(s.ctx, q)
	}
	if r != nil {
		s.tx = old
		return *r
	}
	s.link.setInMail(true)
	return smtp.Reply{Code: 250, Enhanced: "2.1.0", Text: "Ok"}
}

func (s *session) envelope(sender mail.Address, params *smtp.MailParams, now time.Time) mail.Envelope {
	e := mail.Envelope{
		Sender: sender, EnvelopeID: params.EnvID, Return: params.Return, Encoding: params.Encoding,
		VERP: params.VERP, Arrival: now, Created: now,
		Origin: mail.Origin{Client: s.client, Logged: s.client, ServerAddress: s.local, ServerPort: s.port, Remote: s.rewrite},
	}
	if params.SMTPUTF8 {
		e.Options |= mail.OptionSMTPUTF8
	}
	if !mail.IsASCII(string(sender)) {
		e.Options |= mail.OptionUTF8Sender
	}
	return e
}

// mailParam takes one parameter of MAIL.
func (s *session) mailParam(params *smtp.MailParams, word string) *smtp.Reply {
	err := params.Set(word)
	if err == nil && (params.SMTPUTF8 && s.off&kwSMTPUTF8 != 0 || params.HasVERP && !s.verp) {
		err = smtp.ErrParamUnknown
	}
	if err == nil && params.HasVERP {
		if params.VERP == "" && !strings.Contains(word, "=") {
			params.VERP = s.srv.p.Common.VERPDelimiters
		}
		if !s.srv.p.Common.VERPAllows(params.VERP) {
			return &smtp.Reply{Code: 501, Enhanced: "5.5.4", Text: "Error: XVERP needs two characters from " + s.srv.p.Common.VERPAllowed}
		}
	}
	if params.UsesDSN && s.off&kwDSN != 0 {
		s.blame(mail.TroublePolicy)
		return &smtp.Reply{Code: 501, Enhanced: "5.7.1", Text: "DSN support is disabled"}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, smtp.ErrParamSize):
		return &smtp.Reply{Code: 501, Enhanced: "5.5.4", Text: "Bad message size syntax"}
	case errors.Is(err, smtp.ErrParamTooBig):
		return &smtp.Reply{Code: 552, Enhanced: "5.3.4", Text: "Message size exceeds file system imposed limit"}
	case errors.Is(err, smtp.ErrParamReturn):
		return &smtp.Reply{Code: 501, Enhanced: "5.5.4", Text: "Bad RET parameter syntax"}
	case errors.Is(err, smtp.ErrParamEnvID):
		return &smtp.Reply{Code: 501, Enhanced: "5.5.4", Text: "Bad ENVID parameter syntax"}
	}
	return &smtp.Reply{Code: 555, Enhanced: "5.5.4", Text: "Unsupported option: " + word}
}

// checkSize refuses a message that is announced as too large, and any message
// when the queue's disk is nearly full.
func (s *session) checkSize(q *restrictions.Request, size int64) *smtp.Reply {
	limit := s.srv.p.Common.MessageSizeLimit
	if limit > 0 && size > limit {
		s.blame(mail.TroublePolicy)
		r := bad(552, "5.3.4", "Message size exceeds fixed limit")
		q.Report("reject", r.String())
		return &r
	}
	if s.srv.deps.FreeSpace == nil {
		return nil
	}
	need := max(s.srv.p.QueueMinFree, limit+limit/2)
	free, err := s.srv.deps.FreeSpace()
	if err != nil {
		s.srv.deps.Log.Warning("free space of the queue: %v", err)
		return nil
	}
	if free >= need && free-need >= size/2 {
		return nil
	}
	s.srv.deps.Log.Warning("not enough free space in mail queue: %d bytes < 1.5*message size limit", free)
	s.blame(mail.TroubleResource)
	r := bad(452, "4.3.1", "Insufficient system storage")
	q.Report("reject", r.String())
	return &r
}

func (s *session) parsePath(command, path string) (mail.Address, error) {
	addr, err := smtp.ParsePath(path, s.srv.p.StrictEnvelopes)
	if err == nil && s.isOption(addr) {
		err = smtp.ErrPath
	}
	if err != nil && path != "" {
		s.warnAddress(command, path)
	}
	return addr, err
}

// isOption tells whether a command that is given the address could take it for
// an option. A user of this machine is told so by a report, as with sendmail.
func (s *session) isOption(a mail.Address) bool {
	return strings.HasPrefix(string(a), "-") && !s.srv.deps.LeadingDash && !s.srv.deps.StandAlone
}

// needsUTF8 tells whether an address has a domain that only a client may name
// that has asked for SMTPUTF8. A local part in UTF-8 alone is let pass.
func needsUTF8(a mail.Address) bool { return !mail.IsASCII(a.Domain()) }

func (s *session) warnAddress(command, path string) {
	s.srv.deps.Log.Warning("Illegal address syntax from %s in %s command: %.200s", s.named, command, path)
}

func (s *session) cmdRCPT(args string) smtp.Reply {
	p := &s.srv.p
	switch {
	case s.tx.failed, s.tx.chunks != nil:
		return bad(503, "5.5.1", "Error: RCPT after BDAT")
	case !s.tx.open:
		return bad(503, "5.5.1", "Error: need MAIL command")
	case s.overRate(recipientEvent, p.Anvil.RecipientRate, "Recipient address"):
		return bad(450, "4.7.1", "Error: too many recipients from "+s.client.Address)
	}
	path, words, ok := smtp.SplitPath(args, "TO:")
	if !ok {
		return bad(501, "5.5.4", "Syntax: RCPT TO:<address>")
	}
	addr, err := s.parsePath("RCPT", path)
	if err == nil && (addr == "" || needsUTF8(addr) && !s.tx.params.SMTPUTF8) {
		s.warnAddress("RCPT", path)
		err = smtp.ErrPath
	}
	if err != nil {
		return bad(501, "5.1.3", "Bad recipient address syntax")
	}
	var params smtp.RcptParams
	for _, w := range words {
		if r := s.rcptParam(&params, w); r != nil {
			return *r
		}
	}
	if p.StrictSMTPUTF8 && !s.tx.params.SMTPUTF8 && !mail.IsASCII(string(addr)) {
		return bad(553, "5.6.7", "Must declare SMTPUTF8 to send unicode address")
	}
	if s.limits.Recipients > 0 && s.tx.rcpts >= s.limits.Recipients {
		s.tx.overshoot++
		s.tx.overshot = s.tx.overshoot <= s.limits.RecipientOvershoot
		s.blame(mail.TroublePolicy)
		return bad(452, "4.5.3", "Error: too many recipients")
	}
	q := s.request("RCPT")
	q.Recipient = addr
	if r := s.srv.check.Rcpt(s.ctx, q); r != nil {
		return *r
	}
	if s.tx.msg == nil {
		if err := s.openMessage(); err != nil {
			return s.failure(err)
		}
	}
	if params.DSNOriginal == "" { // what the sender wrote (RFC 3461 section 5.2.1)
		params.DSNOriginal = "rfc822;" + strings.Trim(path, "<>")
	}
	rcpt := mail.Recipient{Address: addr, Original: addr, DSNOriginal: params.DSNOriginal, Notify: params.Notify}
	if err := s.tx.msg.Recipient(s.ctx, rcpt); err != nil {
		return s.failure(err)
	}
	if s.tx.rcpts++; s.tx.rcpts == 1 {
		s.tx.first = addr
	}
	return smtp.Reply{Code: 250, Enhanced: "2.1.5", Text: "Ok"}
}

func (s *session) openMessage() error {
	msg, err := s.srv.deps.Open(s.ctx, s.tx.env)
	if err != nil {
		return err
	}
	s.tx.msg = msg
	s.srv.deps.Log.ClientMessage(msg.ID(), s.named)
	return nil
}

func (s *session) rcptParam(params *smtp.RcptParams, word string) *smtp.Reply {
	err := params.Set(word)
	if params.UsesDSN && s.off&kwDSN != 0 {
		s.blame(mail.TroublePolicy)
		return &smtp.Reply{Code: 501, Enhanced: "5.7.1", Text: "DSN support is disabled"}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, smtp.ErrParamNotify):
		return &smtp.Reply{Code: 501, Enhanced: "5.5.4", Text: "Error: Bad NOTIFY parameter syntax"}
	case errors.Is(err, smtp.ErrParamORCPT):
		return &smtp.Reply{Code: 501, Enhanced: "5.5.4", Text: "Error: Bad ORCPT parameter syntax"}
	}
	return &smtp.Reply{Code: 555, Enhanced: "5.5.4", Text: "Unsupported option: " + word}
}

// failure turns an error of the door into a reply. What is not meant for the
// client stays in the log.
func (s *session) failure(err error) smtp.Reply {
	s.blame(troubleOf(err))
	var me *mail.Error
	if !errors.As(err, &me) {
		s.srv.deps.Log.Warning("%s: queue file write error: %v", s.queueID(), err)
		return bad(451, "4.3.0", "Error: queue file write error")
	}
	if me.Err != nil {
		s.srv.deps.Log.Warning("%s: %v", s.queueID(), me.Err)
	}
	return smtp.Reply{Code: me.Reply, Enhanced: me.Code, Text: me.Text, Close: me.Reply == 421 || me.Reply == 521}
}

func (s *session) queueID() string {
	if id := s.messageID(); id != "" {
		return string(id)
	}
	return "NOQUEUE"
}

func bad(code int, enhanced, text string) smtp.Reply {
	return smtp.Reply{Code: code, Enhanced: enhanced, Text: text}
}

// cmdVRFY answers as RCPT would, and changes nothing (RFC 5321 section 3.5.3).
func (s *session) cmdVRFY(args string) smtp.Reply {
	p := &s.srv.p
	if p.DisableVRFY {
		s.blame(mail.TroublePolicy)
		return bad(502, "5.5.1", "VRFY command is disabled")
	}
	utf8 := false
	if rest, ok := strings.CutSuffix(args, " SMTPUTF8"); ok && s.off&kwSMTPUTF8 == 0 {
		args, utf8 = strings.TrimSpace(rest), true
	}
	if args == "" {
		return bad(501, "5.5.4", "Syntax: VRFY address [SMTPUTF8]")
	}
	addr, err := smtp.ParsePath(args, false)
	if err != nil || addr == "" || s.isOption(addr) || needsUTF8(addr) && !utf8 {
		s.warnAddress("VRFY", args)
		return bad(501, "5.1.3", "Bad recipient address syntax")
	}
	if p.StrictSMTPUTF8 && !utf8 && !mail.IsASCII(string(addr)) {
		return bad(553, "5.6.7", "Must declare SMTPUTF8 to send unicode address")
	}
	q := s.request("VRFY")
	q.Recipient = addr
	q.Actions = new(restrictions.Actions) // what they would be is logged
	if r := s.srv.check.Rcpt(s.ctx, q); r != nil {
		return *r
	}
	return smtp.Reply{Code: 252, Enhanced: "2.0.0", Text: args}
}

// cmdETRN asks for delivery of the mail that waits for a domain (RFC 1985).
func (s *session) cmdETRN(args string) smtp.Reply {
	switch {
	case s.helo == "" && s.srv.p.HeloRequired:
		return bad(503, "", "Error: send HELO/EHLO first")
	case s.tx.open:
		return bad(503, "", "Error: MAIL transaction in progress")
	case args == "" || strings.ContainsAny(args, " \t"):
		return bad(500, "", "Syntax: ETRN domain")
	}
	domain := args
	if domain[0] == '@' || domain[0] == '#' { // RFC 1985 section 5.3
		domain = domain[1:]
	}
	if strings.HasSuffix(domain, ".") || !mail.IsASCII(domain) || !smtp.ValidDomain(domain) && !smtp.ValidLiteral(domain) {
		return bad(501, "", "Error: invalid parameter syntax")
	}
	if s.srv.deps.StandAlone {
		s.srv.deps.Log.Warning("do not use ETRN in \"sendmail -bs\" mode")
		return bad(458, "", "Unable to queue messages")
	}
	q := s.request("ETRN")
	q.ETRN, q.Actions = domain, nil
	if r := s.srv.check.ETRN(s.ctx, q); r != nil {
		return *r
	}
	ok, err := false, error(nil)
	if s.srv.deps.Flush != nil {
		ok, err = s.srv.deps.Flush(s.ctx, domain)
	}
	switch {
	case err != nil:
		s.srv.deps.Log.Warning("unable to talk to fast flush service: %v", err)
		return bad(458, "", "Unable to queue messages")
	case !ok:
		s.srv.deps.Log.Warning("reject: ETRN %.100s... from %s", domain, s.named)
		return bad(459, "", "<"+domain+">: service unavailable")
	}
	return smtp.Reply{Code: 250, Text: "Queuing started"}
}
