package address

import (
	"context"
	"strings"

	"posthaste/internal/mail"
)

// classify finds the address class and its transport and next hop.
func (r *Resolver) classify(ctx context.Context, route *Route, sender mail.Address, domain string) error {
	if route.Class == ClassLocal {
		route.set(r.routing.LocalTransport, domain)
		return nil
	}
	alias, err := r.aliasDomains.Match(ctx, domain)
	if err != nil {
		return temporary(err)
	}
	mailbox := false
	if !alias || r.params.Common.HelpfulWarnings {
		if mailbox, err = r.mailboxDomains.Match(ctx, domain); err != nil {
			return temporary(err)
		}
	}
	switch {
	case alias:
		if mailbox {
			r.log.Warning("do not list domain %s in BOTH virtual_alias_domains and virtual_mailbox_domains", domain)
		}
		// Known addresses were replaced on the way in; what is left is unknown.
		route.Class = ClassVirtualAlias
		route.Transport, route.Nexthop = "error", "5.1.1 "+r.unknownText(ClassVirtualAlias)
		return nil
	case mailbox:
		route.Class = ClassVirtualMailbox
		route.set(r.routing.VirtualTransport, domain)
		return nil
	}
	return r.offHost(ctx, route, sender, domain)
}

// offHost routes mail for other systems. The next hop comes, most binding
// first, from the transport's own setting, the sender's relay host,
// relayhost, and the recipient domain (postconf(5), default_transport).
func (r *Resolver) offHost(ctx context.Context, route *Route, sender mail.Address, domain string) error {
	relay, err := r.relayDomains.Match(ctx, domain)
	if err != nil {
		return temporary(err)
	}
	nexthop := domain
	host, found, err := r.bySender(ctx, false, sender)
	switch {
	case err != nil:
		return err
	case found:
		nexthop = host
	case r.routing.Relayhost != "":
		nexthop = r.routing.Relayhost
	}
	if relay {
		route.Class = ClassRelay
		route.set(r.routing.RelayTransport, nexthop)
		return nil
	}
	route.Class = ClassDefault
	transport, found, err := r.bySender(ctx, true, sender)
	if err != nil {
		return err
	}
	if !found {
		transport = r.routing.DefaultTransport
	}
	route.set(transport, nexthop)
	return nil
}

// bySender looks the sender up in one of the sender-dependent tables. DUNNO
// ends the search without a result.
func (r *Resolver) bySender(ctx context.Context, transport bool, sender mail.Address) (string, bool, error) {
	maps, null := r.senderRelayhost, r.params.Resolve.NullRelayhostKey
	if transport {
		maps, null = r.senderTransport, r.params.Resolve.NullTransportKey
	}
	if maps.Empty() {
		return "", false, nil
	}
	if sender == "" {
		value, found, err := maps.Lookup(ctx, null)
		return value, found && !strings.EqualFold(value, "dunno"), wrap(err)
	}
	value, found, err := r.finder.FindBySender(ctx, maps, sender)
	return value, found && !strings.EqualFold(value, "dunno"), err
}

// set takes over `transport` or `transport:nexthop`; without a next hop of its
// own the transport gets the given one.
func (r *Route) set(setting, nexthop string) {
	transport, own, _ := strings.Cut(setting, ":")
	r.Transport, r.Nexthop = transport, nexthop
	if own != "" {
		r.Nexthop = own
	}
}
