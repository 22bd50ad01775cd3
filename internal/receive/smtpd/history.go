package smtpd

import (
	"context"
	"errors"

	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
)

// Transcript is a session in which something went wrong, for the postmaster.
type Transcript struct {
	Client  string // name[address]
	Trouble mail.Trouble
	Lines   []string // `In:  command` and `Out: reply`, without content
	Reason  string   // why the session was aborted; empty: it was not
}

// history is what was said in a session, as long as the postmaster wants to be
// told of anything (notify_classes).
type history struct {
	said    smtp.History
	trouble mail.Trouble // of this session, since the history began
	judged  bool         // the class of what the command in hand did wrong is known
}

// remember takes a command, or replies with their line ends.
func (s *session) remember(prefix string, text []byte) {
	if s.srv.deps.Wanted != 0 {
		s.history.said.Add(prefix, text)
	}
}

// blame notes the class of what the command in hand did wrong. A refusal that
// nobody gives a class is a protocol error.
func (s *session) blame(t mail.Trouble) {
	s.history.trouble |= t
	s.history.judged = true
}

// judge gives a failed command its class.
func (s *session) judge(failed bool) {
	if failed && !s.history.judged {
		s.history.trouble |= mail.TroubleProtocol
	}
	s.history.judged = false
}

// troubleOf is the class of a refusal by the door.
func troubleOf(err error) mail.Trouble {
	var me *mail.Error
	if !errors.As(err, &me) {
		return mail.TroubleResource
	}
	switch {
	case me.Code == "5.3.4", me.Code == "5.4.0":
		return mail.TroubleBounce
	case me.Temporary() && me.Err != nil: // a rule that says "later" has no cause
		return mail.TroubleResource
	}
	return mail.TroublePolicy
}

// closeHistory begins a new history when the old one is longer than threshold
// lines, and sends the old one to the postmaster when there was trouble that he
// wants to be told of.
func (s *session) closeHistory(threshold int) {
	h := &s.history
	if h.said.Len() <= threshold {
		return
	}
	if h.trouble&s.srv.deps.Wanted != 0 {
		t := Transcript{Client: s.named, Trouble: h.trouble, Reason: s.reason, Lines: h.said.Lines()}
		if err := s.srv.deps.Transcript(context.WithoutCancel(s.ctx), t); err != nil {
			s.srv.deps.Log.Warning("postmaster notify: %v", err)
		}
	}
	h.trouble = 0
	h.said.Reset()
}
