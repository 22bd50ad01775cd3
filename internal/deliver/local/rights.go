package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"posthaste/internal/deliver/user"
)

func ownerOf(st os.FileInfo) uint32 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return sys.Uid
	}
	return 0
}

// defaultRights are those of default_privs.
func (a *Agent) defaultRights(ctx context.Context) (user.Identity, error) {
	name := a.params.Common.DefaultPrivs
	account, found, err := a.deps.Accounts.ByName(ctx, name)
	switch {
	case err != nil:
		return user.Identity{}, err
	case !found:
		return user.Identity{}, fmt.Errorf("default_privs: unknown user %s", name)
	case account.ID.UID == 0 || account.ID.GID == 0:
		return user.Identity{}, errors.New("default_privs: must not have superuser rights: " + name)
	}
	return account.ID, nil
}

// rightsOf are those of a user; the superuser's are never used.
func (a *Agent) rightsOf(ctx context.Context, uid uint32) (user.Identity, error) {
	if uid == 0 {
		return a.defaultRights(ctx)
	}
	account, found, err := a.deps.Accounts.ByUID(ctx, uid)
	switch {
	case err != nil:
		return user.Identity{}, err
	case !found:
		return user.Identity{}, fmt.Errorf("unknown owner uid %d", uid)
	}
	return account.ID, nil
}
