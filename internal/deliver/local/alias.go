package local

import (
	"context"
	"os"
	"slices"
	"strings"

	"posthaste/internal/deliver/user"
	"posthaste/internal/mail"
	"posthaste/internal/table"
)

// deliverAlias expands the name if it is an alias: first the whole local part,
// then the user without extension. It tells whether the address was dealt with.
func (j *job) deliverAlias(ctx context.Context, p place) bool {
	names := []string{p.local}
	if p.extension != "" {
		names = append(names, p.user)
	}
	for _, name := range names {
		// An alias in its own expansion means the user (aliases(5)).
		if name == p.parent || name == "" {
			continue
		}
		if slices.Contains(p.aliases, name) {
			j.aliasLoop(p, name)
			return true
		}
		value, spec, found, err := j.lookupAlias(ctx, name, name != p.local)
		if err != nil {
			j.deps.Log.Warning("%v", err)
			j.add(p, mail.Defer("4.3.0", "alias database unavailable"))
			return true
		}
		if !found {
			continue
		}
		p.parent, p.from, p.account = name, alias, nil
		p.unmatched = j.unmatched(p, name != p.local)
		p.aliases = append(slices.Clip(p.aliases), name)
		rights, err := j.tableRights(ctx, spec)
		if err != nil {
			j.deps.Log.Warning("alias database %s: %v", spec, err)
			j.add(p, mail.Defer("4.3.5", "mail system configuration error"))
			return true
		}
		p.owner = &rights
		if !j.owner(ctx, &p, name) {
			return true
		}
		j.expanded(p)
		j.expand(ctx, p, splitDestinations(value))
		return true
	}
	return false
}

func (j *job) aliasLoop(p place, name string) {
	j.deps.Log.Warning("alias database loop for %s", name)
	j.add(p, mail.Bounce("5.4.6", "alias database loop for %s", name))
}

// unmatched is the extension that the addresses of an expansion get, because
// what was expanded did not need it.
func (j *job) unmatched(p place, left bool) string {
	if !left || p.extension == "" || !slices.Contains(j.deps.Propagate, p.from) {
		return ""
	}
	return p.delimiter + p.extension
}

// lookupAlias asks the tables in their order and tells which one answered.
// Tables of patterns see whole names only, not one without its extension.
func (a *Agent) lookupAlias(ctx context.Context, name string, partial bool) (value, spec string, found bool, err error) {
	for _, t := range a.aliases.Tables() {
		if partial && t.Kind != table.Exact {
			continue
		}
		value, found, err = t.Lookup(ctx, name)
		if found || err != nil {
			return value, t.Name, found, err
		}
	}
	return "", "", false, nil
}

// owner makes owner-name, if there is such an alias, the sender of what comes
// next. It is false when that could not be found out.
func (j *job) owner(ctx context.Context, p *place, name string) bool {
	value, _, found, err := j.lookupAlias(ctx, "owner-"+name, false)
	if err != nil {
		j.deps.Log.Warning("%v", err)
		j.add(*p, mail.Defer("4.3.0", "alias database unavailable"))
		return false
	}
	if !found {
		if j.params.ResetOwnerAlias {
			p.sender, p.owned = j.request.Envelope.Sender, false
		}
		return true
	}
	owner := "owner-" + name
	if j.params.ExpandOwnerAlias {
		if list := splitDestinations(value); len(list) == 1 {
			owner = list[0]
		}
	}
	address, _, err := j.deps.Router.Route(ctx, mail.Address(owner))
	if err != nil {
		j.add(*p, mail.Defer("4.3.0", "address resolver failure"))
		return false
	}
	p.sender, p.owned = address, true
	return true
}

// tableRights says with whose rights commands and files of an alias table are
// delivered: the owner's of the table, or default_privs for tables of root and
// tables that are not files (local(8), DELIVERY RIGHTS).
func (a *Agent) tableRights(ctx context.Context, spec string) (user.Identity, error) {
	_, path, err := table.SplitSpec(spec)
	if err != nil || !strings.HasPrefix(path, "/") {
		return a.defaultRights(ctx)
	}
	for _, suffix := range []string{".db", ".cdb", ".lmdb", ".pag", ""} {
		if st, err := os.Stat(path + suffix); err == nil {
			return a.rightsOf(ctx, ownerOf(st))
		}
	}
	return a.defaultRights(ctx)
}
