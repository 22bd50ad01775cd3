package address

import (
	"context"
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/table"
)

// Mapper turns an address into those that a table gives for it. It is safe
// for concurrent use.
type Mapper struct {
	Finder  *Finder
	Rewrite *Rewriter
}

// Map looks a up and returns the addresses of the result in internal form and
// standard form; found is false when no table knows it. `@domain` as a result
// keeps the user and replaces the domain. With propagate, an extension that
// was not needed to match is appended to each result.
func (m *Mapper) Map(ctx context.Context, maps *table.Maps, a mail.Address, propagate bool) (to []mail.Address, found bool, err error) {
	r, found, err := m.Finder.Find(ctx, maps, a)
	if !found || err != nil {
		return nil, false, err
	}
	if !propagate {
		r.Extension = ""
	}
	if strings.HasPrefix(r.Value, "@") {
		local := a.Local()
		local = local[:len(local)-len(r.Extension)]
		r.Value = (mail.Address(local) + mail.Address(r.Value)).Quoted()
	}
	for _, box := range valueAddresses(r.Value) {
		next := m.Rewrite.Mailbox(box, Local)
		if next == "" {
			continue
		}
		to = append(to, withExtension(next, r.Extension))
	}
	return to, len(to) > 0, nil
}

// valueAddresses reads the addresses in a table's value. One plain address,
// the usual case, needs no parser.
func valueAddresses(value string) []Mailbox {
	if !strings.ContainsAny(value, " \t\r\n,;:<>()[]\"\\") {
		return []Mailbox{{Address: mail.Address(value)}}
	}
	return ParseAddresses(value, valueTokenLimit)
}

// valueTokenLimit bounds the parser on values of tables.
const valueTokenLimit = 100_000

func withExtension(a mail.Address, extension string) mail.Address {
	if extension == "" {
		return a
	}
	at := strings.LastIndexByte(string(a), '@')
	if at < 0 {
		at = len(a)
	}
	return a[:at] + mail.Address(extension) + a[at:]
}
