package local

import (
	"context"
	"slices"
	"strings"

	"posthaste/internal/deliver/user"
	"posthaste/internal/mail"
)

// expand delivers to the destinations of an alias, a .forward or an :include:
// file. Commands and files are delivered to in place; addresses are taken
// together, because one alone can be followed here while several need a record
// of their own each.
func (j *job) expand(ctx context.Context, p place, list []string) {
	if len(list) == 0 {
		j.deps.Log.Warning("no destination for %s", p.local)
		j.add(p, mail.Bounce("5.3.5", "mail system configuration error"))
		return
	}
	var addresses []string
	for _, d := range list {
		kind := d
		if i := strings.IndexAny(d, "|/:"); i == 0 {
			kind = d[:1]
		}
		switch {
		case kind == "|":
			j.once(p, d, func() { j.command(ctx, p, strings.TrimSpace(d[1:])) })
		case kind == "/":
			j.once(p, d, func() { j.file(ctx, p, d) })
		case hasPrefixFold(d, ":include:"):
			j.include(ctx, p, strings.TrimSpace(d[len(":include:"):]))
		default:
			addresses = append(addresses, d)
		}
	}
	for _, d := range addresses {
		j.member(ctx, p, d, len(addresses) == 1)
	}
}

// maxDestinations bounds what one recipient may be expanded to. All of them
// are remembered, so that lists of lists do not multiply; Postfix forgets
// those beyond duplicate_filter_limit.
const maxDestinations = 100_000

// once calls f unless the same destination was used before.
func (j *job) once(p place, destination string, f func()) {
	key := string(p.sender) + "\x00" + destination
	if j.seen[key] {
		return
	}
	if len(j.seen) == maxDestinations {
		if !j.full {
			j.add(p, mail.Defer("4.3.0", "more than %d destinations for %s", maxDestinations, j.recipient.Address.Quoted()))
		}
		j.full = true
		return
	}
	j.seen[key] = true
	f()
}

// member delivers to an address that an expansion gave.
func (j *job) member(ctx context.Context, p place, text string, alone bool) {
	bare := strings.HasPrefix(text, `\`)
	rewritten, here, err := j.deps.Router.Route(ctx, mail.Address(strings.TrimPrefix(text, `\`)))
	if err != nil {
		j.deps.Log.Warning("address resolver failure for %s: %v", text, err)
		j.add(p, mail.Defer("4.3.0", "address resolver failure"))
		return
	}
	next := p
	next.address, next.unmatched = rewritten, ""
	if local, domain := rewritten.Split(); p.unmatched != "" && domain != "" {
		next.address = mail.Address(local + p.unmatched + "@" + domain)
	}
	if !here {
		j.forward(next)
		return
	}
	next = next.parse(j.delimiter)
	switch {
	case p.from == alias && next.local != p.parent && slices.Contains(p.aliases, next.local):
		j.aliasLoop(p, p.parent)
	case p.from == forward && (bare || p.account != nil && next.user == strings.ToLower(p.account.Name)):
		// The user's own name in .forward is the user's mailbox.
		j.once(next, "mailbox:"+next.user, func() { j.deliverMailbox(ctx, next) })
	case bare && !p.owned && p.from != include:
		j.once(next, "mailbox:"+next.user, func() { j.deliverMailbox(ctx, next) })
	case next.local == p.parent && p.from == alias && !p.owned, alone && p.from == alias && !p.owned:
		j.once(next, "local:"+next.local, func() { j.deliver(ctx, next) })
	default:
		j.forward(next)
	}
}

// rights are those that a command or a file of this expansion is used with.
func (j *job) rights(ctx context.Context, p place) (user.Identity, error) {
	switch {
	case p.owner != nil:
		return *p.owner, nil
	case p.account != nil:
		return p.account.ID, nil
	}
	return j.defaultRights(ctx)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
