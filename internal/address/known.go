package address

import (
	"context"
	"strings"

	"posthaste/internal/config"
	"posthaste/internal/mail"
	"posthaste/internal/table"
)

// knownMaps are the tables that list the valid recipients of each class.
type knownMaps struct {
	rcptCanonical, canonical, aliases *table.Maps
	local, mailbox, relay             *table.Maps
}

func newKnownMaps(p Params, o table.Opener) knownMaps {
	var c config.Common = p.Common
	return knownMaps{
		rcptCanonical: table.NewMaps(o, "recipient_canonical_maps", p.Map.RecipientCanonicalMaps),
		canonical:     table.NewMaps(o, "canonical_maps", p.Map.CanonicalMaps),
		aliases:       table.NewMaps(o, "virtual_alias_maps", c.VirtualAliasMaps),
		local:         table.NewMaps(o, "local_recipient_maps", c.LocalRecipientMaps),
		mailbox:       table.NewMaps(o, "virtual_mailbox_maps", c.VirtualMailboxMaps),
		relay:         table.NewMaps(o, "relay_recipient_maps", c.RelayRecipientMaps),
	}
}

// Known tells whether a recipient exists, as far as this system can tell: it
// has a canonical or virtual alias mapping, or is listed in the table of its
// class, or that class has no table. An error is a temporary failure.
func (r *Resolver) Known(ctx context.Context, rcpt mail.Address) (bool, error) {
	refusal, err := r.Unknown(ctx, "", rcpt)
	return refusal == nil, err
}

// Unknown is Known with the reason: a refusal such as 550 5.1.1 `User unknown
// in local recipient table`, or nil for a recipient that is known. The text
// lacks the `<address>: Recipient address rejected: ` that a server puts in front.
func (r *Resolver) Unknown(ctx context.Context, sender, rcpt mail.Address) (refusal *mail.Error, err error) {
	route, err := r.Resolve(ctx, sender, rcpt)
	if err != nil {
		return nil, err
	}
	k := &r.known
	for _, maps := range [...]*table.Maps{k.rcptCanonical, k.canonical, k.aliases} {
		_, found, err := r.finder.Find(ctx, maps, route.Recipient)
		if found || err != nil {
			return nil, err
		}
	}
	switch route.Transport {
	case "error":
		return r.undeliverable(route), nil
	case "retry":
		code, text := splitCode("4.1.1", route.Nexthop)
		return &mail.Error{Reply: 450, Code: code, Text: text}, nil
	}
	return r.listed(ctx, route)
}

// undeliverable is the refusal for what resolves to the error transport.
func (r *Resolver) undeliverable(route Route) *mail.Error {
	code, text := splitCode("5.1.1", route.Nexthop)
	reply := 550
	if route.Class == ClassVirtualAlias {
		reply = r.params.Resolve.UnknownAlias
	}
	return refuse(reply, code, text)
}

func (r *Resolver) listed(ctx context.Context, route Route) (*mail.Error, error) {
	maps, reply := r.known.local, r.params.Resolve.UnknownLocal
	switch route.Class {
	case ClassVirtualMailbox:
		maps, reply = r.known.mailbox, r.params.Resolve.UnknownMailbox
	case ClassRelay:
		maps, reply = r.known.relay, r.params.Resolve.UnknownRelay
	case ClassVirtualAlias, ClassDefault:
		return nil, nil
	}
	if maps.Empty() || route.Class == ClassLocal && r.alwaysLocal(route.Recipient) {
		return nil, nil
	}
	_, found, err := r.finder.Find(ctx, maps, route.Recipient)
	if found || err != nil {
		return nil, err
	}
	return refuse(reply, "5.1.1", r.unknownText(route.Class)), nil
}

// alwaysLocal tells whether a local address is one that every mail system has,
// listed or not (RFC 5321 section 4.5.1), or that it makes and takes itself.
func (r *Resolver) alwaysLocal(a mail.Address) bool {
	local := a.Local()
	return strings.EqualFold(local, "postmaster") || strings.EqualFold(local, "mailer-daemon") ||
		strings.EqualFold(local, r.params.Common.DoubleBounceSender)
}

// refuse makes a refusal whose enhanced code agrees with the reply code, which
// a site may set to 450.
func refuse(reply int, code, text string) *mail.Error {
	if reply < 500 && code[0] == '5' {
		code = "4" + code[1:]
	}
	return &mail.Error{Reply: reply, Code: code, Text: text}
}

// unknownText is the text that says that a user does not exist.
func (r *Resolver) unknownText(c Class) string {
	if !r.params.Resolve.ShowTableName {
		return "User unknown"
	}
	return "User unknown in " + [...]string{
		"local recipient", "virtual alias", "virtual mailbox", "relay recipient", "recipient",
	}[c] + " table"
}

// splitCode cuts an enhanced status code off the front of a text.
func splitCode(otherwise, text string) (code, rest string) {
	first, rest, _ := strings.Cut(text, " ")
	if validCode(first) {
		return first, strings.TrimLeft(rest, " \t")
	}
	return otherwise, text
}

// validCode tells whether s is an enhanced status code (RFC 3463 section 2).
func validCode(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || len(parts[0]) != 1 || strings.IndexByte("245", s[0]) < 0 {
		return false
	}
	for _, p := range parts {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}
