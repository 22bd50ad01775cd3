package smtpd

import (
	"context"
	"net/netip"

	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/receive/smtpd/restrictions"
	"posthaste/internal/table"
)

// Message is one message on its way into the queue. It is used by one session.
// Errors are *mail.Error where the client should learn more than 451.
type Message interface {
	ID() mail.QueueID
	Recipient(ctx context.Context, r mail.Recipient) error
	// Line adds a line of content, without line end; Fragment a piece of a
	// long line that goes on.
	Line(text []byte) error
	Fragment(part []byte) error
	// Commit returns nil when the message is durable. After an error nothing
	// is left of it.
	Commit(ctx context.Context) error
	Discard()
	Director
}

// Director is told what access tables want done with a message. Prepend is
// called after the recipients and before the content, the others before Commit.
type Director interface {
	Hold()
	Filter(destination string) // transport:nexthop
	Redirect(to mail.Address)
	Prepend(header string) // a header that goes above our own Received header
}

// Names looks up host names. An error is a temporary failure unless it says
// that there is no such name (an error with NotFound() true).
type Names interface {
	Reverse(ctx context.Context, addr netip.Addr) ([]string, error)
	Addresses(ctx context.Context, name string) ([]netip.Addr, error)
}

// Deps is what the server needs from outside.
type Deps struct {
	Log      *maillog.Logger // nil: nothing is logged
	Service  string          // name of the master.cf row, for rate limit warnings
	Tables   table.Opener
	Resolver restrictions.Resolver
	Names    Names // nil: clients have no names
	// Open begins a message, at its first accepted recipient.
	Open func(ctx context.Context, e mail.Envelope) (Message, error)
	// Class gives the value of a main.cf parameter (restriction classes).
	Class func(name string) (string, bool)
	// IsOwn tells whether an address is one of this system's.
	IsOwn func(netip.Addr) bool
	// FreeSpace tells how many bytes the queue's file system has left; nil: enough.
	FreeSpace func() (int64, error)
	// Flush starts delivery of mail for a domain (ETRN). ok is false when the
	// domain is not served; nil: no domain is.
	Flush func(ctx context.Context, domain string) (ok bool, err error)
	// LeadingDash takes addresses that begin with '-' (allow_min_user).
	LeadingDash bool
	// MaxSessions is the maxproc column; 0: no limit.
	MaxSessions int
	// StressLimits hold while all sessions are in use; nil: the normal ones.
	StressLimits *Limits
	// StandAlone is for one client that is a user of this machine (sendmail
	// -bs): no access list is checked, no limit per client holds, and what
	// keeps strangers in step with the protocol does not apply. Resolver,
	// Class and IsOwn are not used.
	StandAlone bool
	// Wanted are the problems of which the postmaster is sent a Transcript;
	// none: Transcript is not called.
	Wanted     mail.Trouble
	Transcript func(ctx context.Context, t Transcript) error
	// Anvil counts clients; rows of master.cf share it. nil: one of its own.
	Anvil *Anvil
}
