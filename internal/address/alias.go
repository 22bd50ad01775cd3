package address

import (
	"context"
	"fmt"
	"strings"

	"posthaste/internal/mail"
)

// Aliases expands a recipient through virtual_alias_maps until no address has
// a further alias. Without an alias the result is the recipient alone. An
// address may expand into itself once, which ends its expansion. Limits and
// failed lookups are temporary errors: a site must mend its tables, not lose
// mail.
func (m *Maps) Aliases(ctx context.Context, rcpt mail.Address) ([]mail.Address, error) {
	list := []mail.Address{rcpt}
	if m.aliases.Empty() {
		return list, nil
	}
	done := map[string]bool{} // addresses that expanded into themselves
	for i := 0; i < len(list); i++ {
		if len(list) > m.params.AliasExpansionLimit {
			return nil, m.unreasonable("unreasonable %s map expansion size for %s", rcpt)
		}
		for depth := 0; !done[fold(list[i])]; depth++ {
			if depth >= m.params.AliasRecursionLimit {
				return nil, m.unreasonable("unreasonable %s map nesting for %s", rcpt)
			}
			to, found, err := m.mapper.Map(ctx, m.aliases, list[i], m.aliasExt)
			if err != nil {
				m.log.Warning("%s map lookup problem for %s -- message not accepted, try again later", m.aliases.Title(), rcpt)
				return nil, err
			}
			if !found {
				break
			}
			from := list[i]
			for n, next := range to {
				if len(next) > m.params.AliasLengthLimit {
					return nil, m.unreasonable("unreasonable %s result %.300s...", next)
				}
				if strings.EqualFold(string(next), string(from)) {
					done[fold(from)] = true
				}
				if n == 0 {
					list[i] = next
				} else {
					list = append(list, next)
				}
			}
			if len(list) > m.params.AliasExpansionLimit {
				return nil, m.unreasonable("unreasonable %s map expansion size for %s", rcpt)
			}
		}
	}
	return list, nil
}

func fold(a mail.Address) string { return strings.ToLower(string(a)) }

func (m *Maps) unreasonable(format string, a mail.Address) error {
	m.log.Warning(format+" -- message not accepted, try again later", m.aliases.Title(), a)
	return &mail.Error{
		Reply: 451, Code: "4.6.0", Text: "Alias expansion error",
		Err: fmt.Errorf(format, m.aliases.Title(), a),
	}
}
