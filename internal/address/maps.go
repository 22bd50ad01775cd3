package address

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/table"
)

// Deps are what this package needs from others.
type Deps struct {
	Tables table.Opener
	// Own are the addresses of inet_interfaces and proxy_interfaces.
	Own []netip.Addr
	Log Log // nil: no warnings
}

// Role tells what an address is in its message: the classes that canonical
// and masquerade settings name.
type Role uint8

// The roles.
const (
	EnvelopeSender Role = 1 << iota
	EnvelopeRecipient
	HeaderSender
	HeaderRecipient
)

func roles(names []string) Role {
	var r Role
	for _, n := range names {
		switch strings.ToLower(n) {
		case "envelope_sender":
			r |= EnvelopeSender
		case "envelope_recipient":
			r |= EnvelopeRecipient
		case "header_sender":
			r |= HeaderSender
		case "header_recipient":
			r |= HeaderRecipient
		}
	}
	return r
}

// canonicalMap is one of the canonical tables and where it applies.
type canonicalMap struct {
	maps  *table.Maps
	roles Role
}

// Maps are the tables that change addresses on their way into the queue. It
// is safe for concurrent use.
type Maps struct {
	Rewriter   *Rewriter
	Domains    *Domains
	mapper     Mapper
	sender     canonicalMap
	recipient  canonicalMap
	common     canonicalMap
	masquerade masquerade
	aliases    *table.Maps
	senderBCC  *table.Maps
	rcptBCC    *table.Maps
	params     MapParams
	canonExt   bool
	aliasExt   bool
	log        Log
}

// NewMaps opens the tables.
func NewMaps(p Params, d Deps) *Maps {
	if d.Log == nil {
		d.Log = noLog{}
	}
	rw := NewRewriter(p)
	domains := NewDomains(p.Common, d.Tables, d.Own)
	finder := &Finder{Delimiter: NewDelimiter(p.Common), Origin: p.Common.MyOrigin, Domains: domains}
	open := func(title, list string) *table.Maps { return table.NewMaps(d.Tables, title, list) }
	m := p.Map
	return &Maps{
		Rewriter:   rw,
		Domains:    domains,
		mapper:     Mapper{Finder: finder, Rewrite: rw},
		sender:     canonicalMap{open("sender_canonical_maps", m.SenderCanonicalMaps), roles(m.SenderCanonicalClasses)},
		recipient:  canonicalMap{open("recipient_canonical_maps", m.RecipientCanonicalMaps), roles(m.RecipientCanonicalClasses)},
		common:     canonicalMap{open("canonical_maps", m.CanonicalMaps), roles(m.CanonicalClasses)},
		masquerade: newMasquerade(m, d.Tables),
		aliases:    open("virtual_alias_maps", p.Common.VirtualAliasMaps),
		senderBCC:  open("sender_bcc_maps", m.SenderBCCMaps),
		rcptBCC:    open("recipient_bcc_maps", m.RecipientBCCMaps),
		params:     m,
		canonExt:   slices.Contains(m.Propagate, "canonical"),
		aliasExt:   slices.Contains(m.Propagate, "virtual"),
		log:        d.Log,
	}
}

// AlwaysBCC is the further recipient of every message, or empty.
func (m *Maps) AlwaysBCC() mail.Address {
	if m.params.AlwaysBCC == "" {
		return ""
	}
	boxes := ParseAddresses(m.params.AlwaysBCC, valueTokenLimit)
	if len(boxes) == 0 {
		return ""
	}
	return m.Rewriter.Mailbox(boxes[0], Local)
}

// SenderBCC looks up the further recipient for mail of a sender; empty: none.
func (m *Maps) SenderBCC(ctx context.Context, sender mail.Address) (mail.Address, error) {
	return m.bcc(ctx, m.senderBCC, sender)
}

// RecipientBCC looks up the further recipient for mail to a recipient.
func (m *Maps) RecipientBCC(ctx context.Context, rcpt mail.Address) (mail.Address, error) {
	return m.bcc(ctx, m.rcptBCC, rcpt)
}

func (m *Maps) bcc(ctx context.Context, maps *table.Maps, a mail.Address) (mail.Address, error) {
	r, found, err := m.mapper.Finder.Find(ctx, maps, a)
	if !found || err != nil {
		return "", err
	}
	boxes := valueAddresses(r.Value)
	if len(boxes) == 0 {
		return "", nil
	}
	if len(boxes) > 1 {
		m.log.Warning("multi-valued %s entry for %s", maps.Title(), a)
	}
	return m.Rewriter.Mailbox(boxes[0], Local), nil
}
