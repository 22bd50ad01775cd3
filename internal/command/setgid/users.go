package setgid

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strconv"

	"posthaste/internal/table"
	"posthaste/internal/table/hash"
	"posthaste/internal/table/inline"
	"posthaste/internal/table/static"
	"posthaste/internal/table/texthash"
)

// unknownUser stands in match lists for a user without a name.
const unknownUser = "unknown"

// userName is the login name of a user, or "unknown".
func userName(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return unknownUser
	}
	return u.Username
}

// Refused checks a user against a list of authorized users. It returns the
// user's name when the list does not have it. An error means that the list
// cannot be read.
func Refused(o table.Opener, param, list string, uid int) (name string, err error) {
	name = userName(uid)
	found, err := table.NewStringList(o, param, list).Match(context.Background(), name)
	if found || err != nil {
		return "", err
	}
	return name, nil
}

// tables opens the few table types that a setgid program has. Their keys are
// user names.
type tables struct{}

// Open implements table.Opener.
func (tables) Open(spec string) table.Named {
	t, err := openTable(spec)
	if err != nil {
		t = unusable{fmt.Errorf("%s: %w", spec, err)}
	}
	return table.Named{Table: t, Name: spec}
}

func openTable(spec string) (table.Table, error) {
	kind, name, err := table.SplitSpec(spec)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "static":
		return static.Open(name)
	case "inline":
		return inline.Open(name, table.Options{})
	case "texthash":
		return texthash.Open(name, table.Options{})
	case "hash":
		return hash.Open(name)
	}
	return nil, errors.New("lists of authorized users may use names, files, static:, inline:, hash: and texthash: only")
}

// unusable is a table whose lookups fail.
type unusable struct{ err error }

func (t unusable) Lookup(context.Context, string) (string, bool, error) { return "", false, t.err }
