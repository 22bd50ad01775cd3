package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"posthaste/internal/mail"
	"posthaste/internal/protocol/dns"
	"posthaste/internal/protocol/smtp"
)

// failure is a delivery that did not work: the status, and what it means for
// the other servers and the destination. It is made where the failure is known.
type failure struct {
	status mail.Status
	site   bool // a server or destination is unavailable, not this mail refused
	broken bool // the connection cannot be used further
}

// soft tells whether another server may take the mail. With soft_bounce any
// may.
func (f *failure) soft(softBounce bool) bool {
	return strings.HasPrefix(f.status.Code, "4") || softBounce
}

// local makes a failure that no server reported.
func local(code, format string, args ...any) *failure {
	f := &failure{status: mail.Status{Code: code, Reason: fmt.Sprintf(format, args...)}}
	f.classify()
	return f
}

// classify sets the action that the code says.
func (f *failure) classify() {
	f.status.Action = mail.Deferred
	if strings.HasPrefix(f.status.Code, "5") {
		f.status.Action = mail.Bounced
	}
}

// siteFailure is local, for a server that cannot be used.
func siteFailure(code, format string, args ...any) *failure {
	f := local(code, format, args...)
	f.site, f.broken = true, true
	return f
}

// lookupFailure turns a failed DNS lookup into a status.
func lookupFailure(err error) *failure {
	var e *dns.Error
	if !errors.As(err, &e) {
		return siteFailure("4.4.3", "%s", err)
	}
	switch e.Kind {
	case dns.NotFound, dns.NoData, dns.Invalid:
		return siteFailure("5.4.4", "%s", e)
	case dns.Fail:
		return siteFailure("5.4.3", "%s", e)
	case dns.NullMX:
		return siteFailure("5.1.0", "%s", e)
	}
	return siteFailure("4.4.3", "%s", e)
}

// refusedSession is a server that does not want to talk to us.
func (s *session) refusedSession(r *smtp.ServerReply) *failure {
	f := s.replied(r, "host %s refused to talk to me: %s", s.peer.name(), r.Line())
	f.site, f.broken = true, true
	return f
}

// refused is a command that the server did not accept.
func (s *session) refused(r *smtp.ServerReply, command string) *failure {
	return s.replied(r, "host %s said: %s (in reply to %s)", s.peer.name(), r.Line(), command)
}

// replied makes a failure of a reply. A reply that is neither 4XX nor 5XX where
// one of another class was due means that we and the server are out of step:
// nothing it says further can be related to a command, so the mail is deferred
// and the connection closed. (Postfix returns the mail with 5.5.0.)
func (s *session) replied(r *smtp.ServerReply, format string, args ...any) *failure {
	f := local(r.Enhanced, format, args...)
	s.history.broken = s.history.broken || improper(r.Code)
	if c := r.Class(); c != 4 && c != 5 {
		f.status.Code = "4.5.0"
		f.status.Reason = "Protocol error: " + f.status.Reason
		f.broken = true
	}
	if r.Code == 421 {
		f.broken = true // RFC 5321 section 3.8: the server closes
	}
	f.classify()
	f.status.DiagType, f.status.DiagText = "smtp", r.Line()
	f.status.MTAType, f.status.MTAName = "dns", s.peer.host
	return f
}

// lost is a connection that broke or timed out while we were doing something.
func (s *session) lost(err error, doing string) *failure {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return siteFailure("4.4.2", "conversation with %s timed out while %s", s.peer.name(), doing)
	case errors.Is(err, errAhead):
		return siteFailure("4.5.0", "Protocol error: host %s sent an unexpected reply while %s", s.peer.name(), doing)
	case errors.Is(err, smtp.ErrReplyFlood):
		return siteFailure("4.5.0", "Protocol error: host %s sent an endless reply while %s", s.peer.name(), doing)
	}
	return siteFailure("4.4.2", "lost connection with %s while %s", s.peer.name(), doing)
}

// systemText is the system's words for an error, as Postfix logs them:
// "Connection refused".
func systemText(err error) string {
	var errno syscall.Errno
	var op *net.OpError
	switch {
	case errors.As(err, &errno):
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		errno = syscall.ETIMEDOUT
	case errors.As(err, &op) && op.Timeout():
		errno = syscall.ETIMEDOUT
	case errors.Is(err, io.EOF):
		return "Connection closed"
	default:
		return err.Error()
	}
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}
