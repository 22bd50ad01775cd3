package address

import (
	"context"
	"fmt"
	"strings"

	"posthaste/internal/mail"
)

// canonicalDepth bounds canonical mapping of a result by the same table.
const canonicalDepth = 10

// Canonical maps an address in standard form for its role: the table for
// senders or recipients first, then canonical_maps, then masquerading. An
// error means that the message cannot be taken now.
func (m *Maps) Canonical(ctx context.Context, a mail.Address, role Role) (mail.Address, error) {
	special := &m.recipient
	if role == EnvelopeSender || role == HeaderSender {
		special = &m.sender
	}
	var err error
	for _, c := range [...]*canonicalMap{special, &m.common} {
		if c.roles&role == 0 || c.maps.Empty() {
			continue
		}
		if a, err = m.canonical(ctx, c, a); err != nil {
			return a, err
		}
	}
	return m.masquerade.apply(ctx, a, role)
}

func (m *Maps) canonical(ctx context.Context, c *canonicalMap, a mail.Address) (mail.Address, error) {
	for range canonicalDepth {
		to, found, err := m.mapper.Map(ctx, c.maps, a, m.canonExt)
		if err != nil {
			m.log.Warning("%s map lookup problem for %s -- message not accepted, try again later", c.maps.Title(), a)
			return a, err
		}
		if !found {
			return a, nil
		}
		if len(to) > 1 {
			m.log.Warning("multi-valued %s entry for %s", c.maps.Title(), a)
		}
		if strings.EqualFold(string(to[0]), string(a)) {
			return to[0], nil
		}
		a = to[0]
	}
	m.log.Warning("unreasonable %s map nesting for %s -- message not accepted, try again later", c.maps.Title(), a)
	return a, temporary(fmt.Errorf("unreasonable %s map nesting for %q", c.maps.Title(), a))
}
