package run

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"posthaste/internal/config"
	"posthaste/internal/queue"
	"posthaste/internal/system/host"
	"posthaste/internal/system/privilege"
)

// drop gives up what a process does not need.
func drop(env *host.Env, d privilege.Drop) error {
	if env.Spec.Chroot {
		d.Chroot = env.Spec.QueueDir
	}
	if os.Geteuid() == 0 {
		snap, err := config.New(env.Set.Main, Catalog(), nil)
		if err != nil {
			return err
		}
		owner, _ := snap.Get("mail_owner")
		u, err := privilege.Lookup(owner)
		if err != nil {
			return err
		}
		d.User = &u
	}
	enforced, err := d.Apply()
	if err == nil && d.Sandbox != nil && !enforced {
		env.Log.Info("%s: this kernel has no Landlock; file access is limited by the user's rights only", env.Spec.Role)
	}
	return err
}

// dropInbound: makes files in incoming, hold and journal, and notes expanded
// aliases in trace; reads tables anywhere.
func dropInbound(env *host.Env) error {
	return drop(env, privilege.Drop{NoNewPrivileges: true, Sandbox: []privilege.Rule{
		{Path: "/"}, {Path: "/dev", Access: privilege.ReadWrite},
		{Path: filepath.Join(env.Spec.QueueDir, "incoming"), Access: privilege.ReadWrite},
		{Path: filepath.Join(env.Spec.QueueDir, "hold"), Access: privilege.ReadWrite},
		{Path: filepath.Join(env.Spec.QueueDir, string(queue.TraceLog)), Access: privilege.ReadWrite},
		{Path: filepath.Join(env.Spec.QueueDir, string(queue.Journal)), Access: privilege.ReadWrite},
	}})
}

// dropQueue: the queue directory, and tables to read.
func dropQueue(env *host.Env) error {
	return drop(env, privilege.Drop{NoNewPrivileges: true, Sandbox: []privilege.Rule{
		{Path: "/"}, {Path: "/dev", Access: privilege.ReadWrite},
		{Path: env.Spec.QueueDir, Access: privilege.ReadWrite},
	}})
}

// dropOutbound: everything but the queue directory may be read. Messages come
// as open descriptors.
func dropOutbound(env *host.Env) error {
	rules, err := around(env.Spec.QueueDir)
	if err != nil {
		return err
	}
	if env.Spec.Chroot { // the files of the name service, below the new root
		rules = append(rules, privilege.Rule{Path: filepath.Join(env.Spec.QueueDir, "etc")})
	}
	return drop(env, privilege.Drop{NoNewPrivileges: true,
		Sandbox: append(rules, privilege.Rule{Path: "/dev", Access: privilege.ReadWrite})})
}

// dropLocal: the planner reads aliases and asks the broker; without root it
// writes mailboxes and runs commands itself, which may be anything.
func dropLocal(env *host.Env) error {
	return drop(env, privilege.Drop{NoNewPrivileges: os.Geteuid() == 0})
}

// around returns rules that let everything be read but what is below dir:
// what lies beside each directory on the way to it.
func around(dir string) ([]privilege.Rule, error) {
	var rules []privilege.Rule
	above := "/"
	for _, name := range strings.Split(strings.Trim(filepath.Clean(dir), "/"), "/") {
		entries, err := os.ReadDir(above)
		if err != nil {
			if errors.Is(err, fs.ErrPermission) {
				above = filepath.Join(above, name)
				continue // what cannot be listed cannot be read by name here either
			}
			return nil, err
		}
		for _, e := range entries {
			if e.Name() != name {
				rules = append(rules, privilege.Rule{Path: filepath.Join(above, e.Name())})
			}
		}
		above = filepath.Join(above, name)
	}
	return rules, nil
}
