// Package deliver is the contract between the scheduler and the delivery
// agents: one request, one result per recipient. It holds no agent.
package deliver

import (
	"context"

	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// Request asks an agent to deliver one message to some recipients that share a
// transport and a next hop.
type Request struct {
	ID         mail.QueueID
	Service    string // master.cf service name of the transport: smtp, local, …
	Nexthop    string // as resolved: domain, [host]:port, local host name, text for error:
	Envelope   mail.Envelope
	Recipients []mail.Recipient
	Size       int64          // content length in bytes, as for SIZE= and log
	Content    record.Content // the message content, readable at any offset, concurrently
}

// Agent delivers. It is safe for concurrent use; it may be called again for
// the same recipients after a crash or a deferral.
//
// done is called at most once per recipient, as soon as its result is final
// for this attempt; calls are serial. A recipient without a call counts as deferred.
// Deliver returns nil when all is reported; a *SiteError when the whole
// destination is unavailable (connect or handshake failed): all recipients
// without a call get its status, and the scheduler counts it against the
// destination; any other error is a local fault and defers with 4.3.0.
type Agent interface {
	Deliver(ctx context.Context, r Request, done func(mail.RecipientIndex, mail.Status)) error
}

// SiteError says that a destination as a whole does not work now. Status is
// a deferral (or, for a destination that can never work, a bounce).
type SiteError struct{ Status mail.Status }

// Error makes *SiteError an error.
func (e *SiteError) Error() string { return e.Status.Code + " " + e.Status.Reason }
