package smtpd

import (
	"io"
	"strconv"
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
)

func (s *session) cmdDATA(args string) smtp.Reply {
	switch {
	case s.tx.failed, s.tx.chunks != nil:
		return bad(503, "5.5.1", "Error: DATA after BDAT")
	case s.tx.rcpts == 0:
		return s.noRecipients()
	case args != "":
		return bad(501, "5.5.4", "Syntax: DATA")
	}
	if r := s.startContent("DATA"); r != nil {
		return *r
	}
	policy := smtp.BareLFNormalize
	if s.bareLF == bareLFAllow || s.bareLF == bareLFNote {
		policy = smtp.BareLFAllow
	}
	s.reply(smtp.Reply{Code: 354, Text: "End data with <CR><LF>.<CR><LF>"})
	s.grow()
	data := smtp.NewDataReader(s.in, policy, s.srv.p.Common.LineLengthLimit)
	refusal, err := s.copyContent(data.Next)
	if err != nil {
		s.unread = data.Size()
		s.endTransactionLater(err)
		return smtp.Reply{}
	}
	if r := s.bareReceived(data.SawBareLF()); refusal == nil {
		refusal = r
	}
	return s.finish(refusal, "Ok: queued as ")
}

// noRecipients is the answer to DATA and BDAT without an accepted RCPT.
func (s *session) noRecipients() smtp.Reply {
	if !s.tx.open {
		return bad(503, "5.5.1", "Error: need RCPT command")
	}
	s.blame(0) // that they were refused has its own class
	return bad(554, "5.5.1", "Error: no valid recipients")
}

// endTransactionLater notes why content broke off. The transaction is left for
// the log line of the session's end.
func (s *session) endTransactionLater(err error) {
	s.link.setInMail(false)
	s.readError(err)
	if s.reason == "" {
		s.reason = "lost connection"
	}
}

// startContent checks the data list, and tells the message what must be known
// before its content: the headers that access tables want, and that it is held
// already, which header_checks need not say again.
func (s *session) startContent(where string) *smtp.Reply {
	if r := s.srv.check.DataCommand(s.ctx, s.dataRequest(where)); r != nil {
		return r
	}
	for _, h := range s.tx.actions.Prepend {
		s.tx.msg.Prepend(h)
	}
	if s.tx.actions.Hold {
		s.tx.msg.Hold()
	}
	return nil
}

// direct tells the message what access tables want done with it. They may say
// so up to the end of its content.
func (s *session) direct() error {
	a, msg := &s.tx.actions, s.tx.msg
	if a.Hold {
		msg.Hold()
	}
	if a.Filter != "" {
		msg.Filter(a.Filter)
	}
	if a.Redirect != "" {
		msg.Redirect(a.Redirect)
	}
	for _, bcc := range a.BCC {
		if err := msg.Recipient(s.ctx, mail.Recipient{Address: bcc, Original: bcc}); err != nil {
			return err
		}
	}
	return nil
}

// copyContent moves lines to the message until next returns io.EOF. After a
// refusal it reads on, to stay in step with the client. A message that an access
// table has discarded by now is not looked at: nothing in it can refuse it. err
// is a failed read.
func (s *session) copyContent(next func() ([]byte, bool, error)) (refusal *smtp.Reply, err error) {
	limit := s.srv.p.Common.MessageSizeLimit
	for {
		text, whole, err := next()
		if err == io.EOF {
			return refusal, nil
		}
		if err != nil {
			return nil, err
		}
		if refusal != nil {
			continue
		}
		s.tx.size += int64(len(text))
		if whole {
			s.tx.size += 2
		}
		if limit > 0 && s.tx.size > limit {
			s.srv.deps.Log.Warning("%s: queue file size limit exceeded", s.queueID())
			s.blame(mail.TroubleBounce)
			refusal = &smtp.Reply{Code: 552, Enhanced: "5.3.4", Text: "Error: message file too big"}
			continue
		}
		switch {
		case s.tx.actions.Discard:
		case whole:
			err = s.tx.msg.Line(text)
		default:
			err = s.tx.msg.Fragment(text)
		}
		if err != nil {
			r := s.failure(err)
			refusal = &r
		}
	}
}

// bareReceived is the refusal of content with bare line feeds, if it is one.
func (s *session) bareReceived(saw bool) *smtp.Reply {
	if !saw {
		return nil
	}
	switch s.bareLF {
	case bareLFReject:
		s.dataRequest(endOfMessage).Report("reject", bareLFText)
		r := s.refuseBareLF()
		return &r
	case bareLFNote:
		s.srv.deps.Log.Info("%s: bare <LF> received after %s from %s", s.queueID(), s.where, s.named)
	}
	return nil
}

// bareLFText is what is said of a line feed without carriage return.
const bareLFText = "bare <LF> received"

func (s *session) refuseBareLF() smtp.Reply {
	return bad(s.srv.p.ForbidBareLFCode, "5.5.2", s.myname()+" Error: "+bareLFText)
}

// finish ends a message whose content has arrived: it is queued, or refused.
// Nothing of the transaction is left, whatever the outcome.
func (s *session) finish(refusal *smtp.Reply, done string) smtp.Reply {
	defer s.endTransaction()
	defer s.closeHistory(s.srv.p.HistoryThreshold)
	s.where = endOfMessage
	if refusal == nil {
		refusal = s.srv.check.EndOfMessage(s.ctx, s.dataRequest(endOfMessage))
	}
	if refusal != nil {
		return *refusal
	}
	id := string(s.tx.msg.ID())
	if s.tx.actions.Discard {
		s.tx.msg.Discard()
	} else if err := s.commit(); err != nil {
		return s.failure(err)
	}
	s.tx.msg = nil
	s.errors, s.junk, s.tiny, s.history.trouble = 0, 0, 0, 0
	return smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: done + id}
}

// endOfMessage is the place, for the log, behind the content of a message.
const endOfMessage = "END-OF-MESSAGE"

func (s *session) commit() error {
	if err := s.direct(); err != nil {
		return err
	}
	return s.tx.msg.Commit(s.ctx)
}

// tinyChunk and tinyChunks bound clients that send content in crumbs: after so
// many chunks smaller than that, each further one counts as an error.
const (
	tinyChunk  = 64
	tinyChunks = 1000
)

// cmdBDAT takes a chunk (RFC 3030). Whatever is wrong with the command, exactly
// the announced number of bytes is read, so that client and server agree on
// where the next command begins.
func (s *session) cmdBDAT(args string) smtp.Reply {
	if s.off&kwChunking != 0 {
		return smtp.Reply{Code: 521, Enhanced: "5.5.1", Text: "Error: command not implemented", Close: true}
	}
	size, last, err := smtp.ParseBDAT(args)
	if err != nil {
		s.srv.deps.Log.Warning("%s: malformed BDAT command syntax from %s: %.100s", s.queueID(), s.named, strings.TrimRight("BDAT "+args, " "))
		return smtp.Reply{Code: 521, Enhanced: "5.5.4", Text: "Syntax: BDAT count [LAST]", Close: true}
	}
	if size < tinyChunk && !last {
		if s.tiny++; s.tiny > tinyChunks {
			s.errors++
		}
	}
	if r := s.refuseChunk(size, last); r != nil {
		return s.skipChunk(*r, size, last)
	}
	if s.tx.chunks == nil {
		s.tx.chunks = smtp.NewChunkReader(s.in, s.srv.p.Common.LineLengthLimit)
	}
	s.grow()
	s.tx.chunks.Begin(size, last)
	refusal, err := s.copyContent(s.tx.chunks.Next)
	if err != nil {
		s.unread = s.tx.size
		s.endTransactionLater(err)
		return smtp.Reply{}
	}
	if s.bareLF == bareLFReject && refusal == nil {
		refusal = s.bareReceived(s.tx.chunks.SawBareLF())
	}
	n := strconv.FormatInt(size, 10)
	switch {
	case last:
		total := s.tx.size
		return s.finish(refusal, "Ok: "+strconv.FormatInt(total, 10)+" bytes queued as ")
	case refusal != nil:
		s.failChunks()
		return *refusal
	}
	return smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok: " + n + " bytes"}
}

// refuseChunk tells why a chunk is not taken, before it is read.
func (s *session) refuseChunk(size int64, last bool) *smtp.Reply {
	limit := s.srv.p.Common.MessageSizeLimit
	r := smtp.Reply{}
	switch {
	case s.tx.failed:
		r = bad(551, "5.0.0", "Discarded "+strconv.FormatInt(size, 10)+" bytes after earlier error")
	case size == 0 && !last:
		s.srv.deps.Log.Warning("%s: null BDAT request from %s", s.queueID(), s.named)
		r = bad(551, "5.7.1", "Null BDAT request")
	case s.tx.rcpts == 0:
		r = s.noRecipients()
	case limit > 0 && size > limit-s.tx.size:
		s.srv.deps.Log.Warning("%s: BDAT request from %s exceeds message size limit", s.queueID(), s.named)
		r = bad(552, "5.3.4", "Chunk exceeds message size limit")
	case s.tx.chunks == nil:
		return s.startContent("BDAT")
	default:
		return nil
	}
	return &r
}

// skipLimit is how much of a refused chunk is read when message_size_limit is
// smaller. A client that announces more is disconnected at once.
const skipLimit = 64 << 20

func (s *session) skipChunk(r smtp.Reply, size int64, last bool) smtp.Reply {
	if size > max(skipLimit, s.srv.p.Common.MessageSizeLimit) {
		r.Close = true
		return r
	}
	s.grow()
	c := smtp.NewChunkReader(s.in, s.srv.p.Common.LineLengthLimit)
	c.Begin(size, last)
	if err := c.Skip(); err != nil {
		s.endTransactionLater(err)
		return smtp.Reply{}
	}
	if last {
		s.endTransaction()
	} else {
		s.failChunks()
	}
	return r
}

// failChunks gives the message up, and remembers that chunks which the client
// has already sent must not begin another.
func (s *session) failChunks() {
	s.endTransaction()
	s.tx.failed = true
}
