package smtp

import (
	"context"

	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
)

// Transcript is a session in which a server broke the protocol, for the
// postmaster.
type Transcript struct {
	LMTP  bool
	Peer  string   // name[address]:port
	Lines []string // `In:  reply` and `Out: command`, without content
}

// history is what was said since the session began, or since its last
// delivery ended. It is kept only when the postmaster wants to be told.
type history struct {
	said   smtp.History
	broken bool // the server gave a reply that has no place in the protocol
}

// remember takes lines that end in \r\n, or one without line end.
func (s *session) remember(prefix string, text []byte) {
	if s.agent.deps.tells() && len(text) > 0 {
		s.history.said.Add(prefix, text)
	}
}

// tells tells whether the postmaster wants transcripts.
func (d *Deps) tells() bool { return d.Transcript != nil }

// improper tells whether a reply code says that one side breaks the protocol:
// it refuses no mail, but a command (RFC 5321 section 4.2.2).
func improper(code int) bool {
	return code < 400 || code > 599 || code == 555 || code >= 500 && code < 510
}

// closeHistory begins a new history. The old one is sent to the postmaster when
// the server broke the protocol. sender is that of the mail: what failed to
// reach the postmaster is not told to the postmaster.
func (s *session) closeHistory(ctx context.Context, sender mail.Address) {
	h := &s.history
	if h.broken && s.agent.deps.tells() && sender.Local() != s.agent.params.Common.DoubleBounceSender {
		t := Transcript{LMTP: s.agent.lmtp, Peer: s.peer.relay(), Lines: h.said.Lines()}
		if err := s.agent.deps.Transcript(context.WithoutCancel(ctx), t); err != nil {
			s.agent.deps.Log.Warning("postmaster notify: %s", err)
		}
	}
	h.broken = false
	h.said.Reset()
}
