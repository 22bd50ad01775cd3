package address

import (
	"context"
	"net/netip"
	"strings"
	"unicode/utf8"

	"posthaste/internal/mail"
	"posthaste/internal/table"
)

// Class is the kind of domain an address belongs to (ADDRESS_CLASS_README).
type Class uint8

// The classes. Every domain is in one.
const (
	ClassLocal Class = iota
	ClassVirtualAlias
	ClassVirtualMailbox
	ClassRelay
	ClassDefault
)

// String is the class's name for people.
func (c Class) String() string {
	return [...]string{"local", "virtual alias", "virtual mailbox", "relay", "default"}[c]
}

// Route is where a recipient's mail goes.
type Route struct {
	Transport string // master.cf service name
	Nexthop   string // domain, [host]:port, …; for error and retry: the text
	Recipient mail.Address
	Class     Class
	// Routed says that a local part of another site holds routing operators:
	// relaying such mail is refused (allow_untrusted_routing).
	Routed bool
	// Invalid says that the address cannot be delivered whatever the tables
	// hold; Transport is then error.
	Invalid bool
}

// Resolver resolves recipients. It is safe for concurrent use.
type Resolver struct {
	params   Params
	routing  Routing
	domains  *Domains
	finder   *Finder
	rewriter *Rewriter
	log      Log

	aliasDomains   *table.StringList
	mailboxDomains *table.StringList
	relayDomains   *table.DomainList

	transports       *table.Maps
	transportParents bool
	senderRelayhost  *table.Maps
	senderTransport  *table.Maps
	relocated        *table.Maps
	known            knownMaps
}

// NewResolver opens the tables for ordinary mail.
func NewResolver(p Params, d Deps) *Resolver { return newResolver(p, d, p.Routing) }

// NewVerifyResolver opens the tables for address probes, which may take other
// routes (the address_verify_ parameters).
func NewVerifyResolver(p Params, d Deps) *Resolver { return newResolver(p, d, Routing(p.Verify)) }

func newResolver(p Params, d Deps, routing Routing) *Resolver {
	if d.Log == nil {
		d.Log = noLog{}
	}
	c, o := p.Common, d.Tables
	domains := NewDomains(c, o, d.Own)
	r := &Resolver{
		params: p, routing: routing, domains: domains, rewriter: NewRewriter(p), log: d.Log,
		finder:           &Finder{Delimiter: NewDelimiter(c), Origin: c.MyOrigin, Domains: domains},
		aliasDomains:     table.NewStringList(o, "virtual_alias_domains", c.VirtualAliasDomains),
		mailboxDomains:   table.NewStringList(o, "virtual_mailbox_domains", c.VirtualMailboxDomain),
		relayDomains:     table.NewDomainList(o, "relay_domains", c.RelayDomains, table.ParentMatches(o, c.ParentMatches, "relay_domains")),
		transports:       table.NewMaps(o, "transport_maps", routing.TransportMaps),
		transportParents: table.ParentMatches(o, c.ParentMatches, "transport_maps"),
		senderRelayhost:  table.NewMaps(o, "sender_dependent_relayhost_maps", routing.SenderRelayhostMaps),
		senderTransport:  table.NewMaps(o, "sender_dependent_default_transport_maps", routing.SenderDefaultTransportMaps),
		relocated:        table.NewMaps(o, "relocated_maps", p.Resolve.RelocatedMaps),
	}
	r.known = newKnownMaps(p, o)
	return r
}

// Local tells whether a domain is delivered by the local transport.
func (r *Resolver) Local(ctx context.Context, domain string) (bool, error) {
	return r.domains.Local(ctx, domain)
}

// Resolve finds the route of rcpt, both addresses being in internal form. An
// error is a temporary failure; an address that cannot be delivered is no
// error but a route to the error transport.
func (r *Resolver) Resolve(ctx context.Context, sender, rcpt mail.Address) (Route, error) {
	route, domain, err := r.recipient(ctx, rcpt)
	if err != nil || route.Invalid {
		return route, err
	}
	if !utf8.ValidString(string(route.Recipient)) || !r.params.Common.SMTPUTF8Enable && !mail.IsASCII(domain) {
		route.invalid("5.1.3 bad address syntax")
		return route, nil
	}
	if err := r.classify(ctx, &route, sender, domain); err != nil {
		return route, err
	}
	if !r.transports.Empty() {
		if err := r.transport(ctx, &route, domain); err != nil {
			return route, err
		}
	}
	if !r.relocated.Empty() {
		moved, found, err := r.finder.Find(ctx, r.relocated, route.Recipient)
		if err != nil {
			return route, err
		}
		if found {
			route.Transport, route.Nexthop = "error", moved.Value
			if r.params.Resolve.RelocatedPrefix {
				route.Nexthop = "5.1.6 User has moved to " + moved.Value
			}
		}
	}
	// A command might take such an address for an option.
	if strings.HasPrefix(string(route.Recipient), "-") && !r.params.Resolve.AllowMinUser {
		route.invalid("5.1.3 bad address syntax")
	}
	return route, nil
}

func (r *Route) invalid(text string) {
	r.Transport, r.Nexthop, r.Invalid = "error", text, true
}

// recipient strips local domains until a remote one or only a user is left, so
// that user%remote@here, @-routes and the like are resolved by their true
// destination. domain is that of the recipient; class local is set as found.
func (r *Resolver) recipient(ctx context.Context, rcpt mail.Address) (route Route, domain string, err error) {
	s, saved := string(rcpt), ""
	opaque := !r.params.Resolve.Dequoted && !plainLocal(rcpt)
	route.Class = ClassLocal
	for {
		if n := len(s); n > 1 && s[n-1] == '.' && s[n-2] != '.' && s[n-2] != '@' {
			s = s[:n-1]
		}
		if r.params.Resolve.NullDomain {
			s = strings.TrimSuffix(s, "@")
		}
		if at := strings.LastIndexByte(s, '@'); at >= 0 {
			local, err := r.domains.Local(ctx, s[at+1:])
			if err != nil {
				return route, "", err
			}
			if !local {
				route.Class = ClassDefault
				route.Routed = !opaque && strings.ContainsAny(s[:at], "@!%")
				break
			}
			s, saved = s[:at], s[at+1:]
		}
		if opaque || !r.hasOperator(s) {
			break
		}
		s = r.rewriter.rewrite(s, false, Local)
	}
	if route.Class == ClassLocal {
		if s == "" {
			s = r.params.Common.EmptyAddressRecipient
		}
		if saved == "" {
			saved = r.params.Common.MyHostname
		}
		s += "@" + saved
	}
	route.Recipient = mail.Address(s)
	domain = route.Recipient.Domain()
	if route.Class != ClassLocal {
		r.checkDomain(&route, &domain)
	}
	return route, domain, nil
}

func (r *Resolver) hasOperator(s string) bool {
	return strings.IndexByte(s, '@') >= 0 ||
		r.params.Rewrite.SwapBangpath && strings.IndexByte(s, '!') >= 0 ||
		r.params.Rewrite.AllowPercentHack && strings.IndexByte(s, '%') >= 0
}

// checkDomain refuses what cannot be a destination.
func (r *Resolver) checkDomain(route *Route, domain *string) {
	d := *domain
	if strings.HasPrefix(d, "[") {
		if _, ok := ParseLiteral(d); !ok {
			route.invalid("5.1.3 bad address syntax")
		}
		return
	}
	if _, err := netip.ParseAddr(d); err == nil && r.params.Resolve.NumericDomain {
		*domain = "[" + d + "]"
		route.Recipient = mail.Address(route.Recipient.Local() + "@" + *domain)
		return
	}
	if !validHost(d) {
		route.invalid("5.1.3 bad address syntax")
	}
}
