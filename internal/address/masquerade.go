package address

import (
	"context"
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/table"
)

// masquerade cuts host names off: user@host.example.com becomes
// user@example.com when example.com is in masquerade_domains.
type masquerade struct {
	domains    []string // lower case, in their order; a leading '!' keeps what matches
	exceptions *table.StringList
	roles      Role
}

func newMasquerade(p MapParams, o table.Opener) masquerade {
	m := masquerade{
		roles:      roles(p.MasqueradeClasses),
		exceptions: table.NewStringList(o, "masquerade_exceptions", p.MasqueradeExceptions),
	}
	for _, d := range p.MasqueradeDomains {
		m.domains = append(m.domains, strings.ToLower(d))
	}
	return m
}

// apply returns the address as it is to be seen outside. The first entry that
// matches decides.
func (m *masquerade) apply(ctx context.Context, a mail.Address, role Role) (mail.Address, error) {
	if len(m.domains) == 0 || m.roles&role == 0 {
		return a, nil
	}
	local, domain := a.Split()
	if domain == "" {
		return a, nil
	}
	if !m.exceptions.Empty() {
		ok, err := m.exceptions.Match(ctx, local)
		if ok || err != nil {
			return a, wrap(err)
		}
	}
	for _, entry := range m.domains {
		parent := strings.TrimLeft(entry, "!")
		keep := (len(entry)-len(parent))%2 == 1
		switch cut := len(domain) - len(parent); {
		case parent == "" || cut < 0:
		case cut == 0 && strings.EqualFold(domain, parent):
			return a, nil
		case cut > 0 && domain[cut-1] == '.' && strings.EqualFold(domain[cut:], parent):
			if keep {
				return a, nil
			}
			return mail.Address(local + "@" + parent), nil
		}
	}
	return a, nil
}
