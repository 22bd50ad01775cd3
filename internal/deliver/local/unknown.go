package local

import (
	"context"
	"errors"
	"strings"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
)

// deliverUnknown is the last resort for a name that is no user here.
func (j *job) deliverUnknown(ctx context.Context, p place) {
	transport, found, err := j.fallbacks.Lookup(ctx, p.user)
	switch {
	case err != nil:
		j.deps.Log.Warning("%v", err)
		j.add(p, mail.Defer("4.3.5", "mail system configuration error"))
		return
	case found:
		j.pass(ctx, p, transport)
		return
	case j.params.FallbackTransport != "":
		j.pass(ctx, p, j.params.FallbackTransport)
		return
	case j.params.LuserRelay != "" && !p.luser:
		j.luserRelay(ctx, p)
		return
	case p.user == "postmaster" || p.user == "mailer-daemon":
		// These must never bounce: the notice would come back here.
		j.deps.Log.Warning("required alias not found: %s", p.user)
		j.add(p, mail.Sent("2.0.0", "discarded"))
		return
	}
	j.add(p, mail.Bounce("5.1.1", "unknown user: \"%s\"", p.user))
}

// luserRelay sends the mail of unknown users to one address. An address that
// is here, too, is followed; if that is unknown again, the mail bounces.
func (j *job) luserRelay(ctx context.Context, p place) {
	text, err := expandMacros(j.params.LuserRelay, j.macros(p, nil, ""))
	if err != nil {
		j.deps.Log.Warning("luser_relay: %v", err)
		j.add(p, mail.Defer("4.3.5", "mail system configuration error"))
		return
	}
	rewritten, here, err := j.deps.Router.Route(ctx, mail.Address(text))
	if err != nil {
		j.add(p, mail.Defer("4.3.0", "address resolver failure"))
		return
	}
	p.luser, p.address = true, rewritten
	if here {
		j.deliver(ctx, p)
		return
	}
	j.forward(p)
}

// pass hands the recipient to another transport: `service` or `service:nexthop`.
func (j *job) pass(ctx context.Context, p place, spec string) {
	service, nexthop, _ := strings.Cut(spec, ":")
	if nexthop == "" {
		if nexthop = j.request.Nexthop; nexthop == "" {
			nexthop = p.domain
		}
	}
	agent, err := j.deps.Transport(service)
	if err != nil {
		j.deps.Log.Warning("transport %s: %v", service, err)
		j.add(p, mail.Defer("4.3.0", "mail transport unavailable"))
		return
	}
	r := *j.request
	r.Service, r.Nexthop = service, nexthop
	r.Envelope.Sender = p.sender
	rcpt := j.recipient
	rcpt.Address = p.address
	r.Recipients = []mail.Recipient{rcpt}
	st := mail.Defer("4.3.0", "mail transport unavailable")
	err = agent.Deliver(ctx, r, func(_ mail.RecipientIndex, got mail.Status) { st = got })
	var site *deliver.SiteError
	switch {
	case errors.As(err, &site):
		st = site.Status
	case err != nil:
		j.deps.Log.Warning("transport %s: %v", service, err)
	}
	j.add(p, st)
	j.results[len(j.results)-1].Service = service
}
