package local

import (
	"context"
	"errors"
	"os"
	"strings"

	"posthaste/internal/config"
	"posthaste/internal/deliver/user"
	"posthaste/internal/mail"
	"posthaste/internal/table"
)

// deliverDotforward expands the user's forwarding file, if there is one that
// can be trusted. It tells whether the address was dealt with.
func (j *job) deliverDotforward(ctx context.Context, p place) bool {
	account, found, err := j.deps.Accounts.ByName(ctx, p.user)
	switch {
	case err != nil:
		j.accountTrouble(p, err)
		return true
	case !found || account.ID.UID == 0 || account.ID.GID == 0:
		// The superuser's file is not read: nothing here has the right to act on it.
		return false
	case !safePart(p.extension):
		return false
	}
	if j.params.RequireHome {
		if _, err := os.Stat(account.Home); err != nil {
			j.add(p, mail.Defer("4.3.0", "cannot access home directory %s of user %s: %s", account.Home, account.Name, table.ErrorText(err)))
			return true
		}
	}
	text, path, err := j.forwardFile(ctx, p, account)
	if err != nil {
		j.deps.Log.Warning("%v", err)
		j.add(p, mail.Defer("4.3.0", "cannot read the forwarding file of user %s", account.Name))
		return true
	}
	list := splitDestinations(text)
	if len(list) == 0 {
		return false // no file, or an empty one, which means: do not forward
	}
	p.from, p.account, p.owner, p.parent = forward, &account, nil, ""
	p.unmatched = j.unmatched(p, !strings.HasSuffix(path, p.extension))
	j.expanded(p)
	j.expand(ctx, p, list)
	return true
}

func (j *job) accountTrouble(p place, err error) {
	j.deps.Log.Warning("error looking up passwd info for %s: %v", p.user, err)
	j.add(p, mail.Defer("4.3.0", "user lookup error"))
}

// forwardFile returns the text and the name of the first file in forward_path
// that exists. Both are empty when there is none to follow. One that somebody else could have written is not followed, with a warning,
// and mail goes to the mailbox.
func (j *job) forwardFile(ctx context.Context, p place, account user.Account) (text, path string, err error) {
	tried := make(map[string]bool)
	for _, item := range config.SplitList(j.params.ForwardPath) {
		path, err := expandMacros(item, j.macros(p, &account, j.params.ForwardFilter))
		if err != nil {
			j.deps.Log.Warning("forward_path: %v", err)
			continue
		}
		if tried[path] || !strings.HasPrefix(path, "/") {
			continue
		}
		tried[path] = true
		file, err := j.deps.Worker.Read(ctx, account.ID, path, maxList)
		var refused *mail.Error
		if errors.As(err, &refused) && !refused.Temporary() {
			j.deps.Log.Warning("%s", refused.Text)
			return "", "", nil
		} else if err != nil {
			return "", "", err
		}
		if !file.Found {
			continue
		}
		switch {
		case !file.Regular():
			j.deps.Log.Warning("file %s is not a regular file", path)
		case file.UID != 0 && file.UID != account.ID.UID:
			j.deps.Log.Warning("file %s has bad owner uid %d", path, file.UID)
		case file.Mode&0o002 != 0:
			j.deps.Log.Warning("file %s is world writable", path)
		case !file.Whole:
			j.deps.Log.Warning("file %s is larger than %d bytes", path, maxList)
		default:
			return string(file.Data), path, nil
		}
		return "", "", nil
	}
	return "", "", nil
}
