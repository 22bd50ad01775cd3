package address

import (
	"context"

	"posthaste/internal/mail"
)

// Named answers about addresses as clients name them: it puts them into standard
// form before it resolves them, as the door to the queue will do, so that both
// speak of the same address. It is safe for concurrent use.
type Named struct{ r *Resolver }

// NewNamed makes a Named.
func NewNamed(r *Resolver) Named { return Named{r} }

// Resolve is Resolver.Resolve.
func (n Named) Resolve(ctx context.Context, sender, rcpt mail.Address) (Route, error) {
	return n.r.Resolve(ctx, n.standard(sender), n.standard(rcpt))
}

// Unknown is Resolver.Unknown.
func (n Named) Unknown(ctx context.Context, sender, rcpt mail.Address) (refusal *mail.Error, err error) {
	return n.r.Unknown(ctx, n.standard(sender), n.standard(rcpt))
}

func (n Named) standard(a mail.Address) mail.Address { return n.r.rewriter.Rewrite(a, Local) }
