package master

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"

	"posthaste/internal/config"
	"posthaste/internal/system/spec"
)

// group is what lives in one process: a role, and whether it is chrooted.
type group struct {
	role   spec.Role
	chroot bool
}

// served is a row with the sockets it wants.
type served struct {
	row       config.Service
	addresses []address
}

// plan is a configuration turned into processes.
type plan struct {
	set    *config.Set
	params Params
	groups []group // in the order they are started
	rows   map[group][]served
}

// errnoOf finds the system's error number in err.
func errnoOf(err error) (syscall.Errno, bool) {
	var e syscall.Errno
	ok := errors.As(err, &e)
	return e, ok
}

// loadMain reads what is needed to find a mail system that runs, whatever became
// of its master.cf.
func loadMain(o *Options) (*plan, error) {
	set, err := config.LoadMain(o.ConfigDir)
	if err != nil {
		return nil, err
	}
	p, _, err := settings(set, o)
	return p, err
}

// settings are the parameters of main.cf that the master uses.
func settings(set *config.Set, o *Options) (*plan, *config.Snapshot, error) {
	snap, err := config.New(set.Main, o.Catalog, nil)
	if err != nil {
		return nil, nil, err
	}
	p := &plan{set: set, rows: map[group][]served{}}
	if err := snap.Bind(&p.params); err != nil {
		return nil, nil, err
	}
	for _, dir := range []*string{&p.params.Common.QueueDirectory, &p.params.Common.DataDirectory} {
		if !filepath.IsAbs(*dir) {
			return nil, nil, fmt.Errorf("queue_directory and data_directory must be absolute path names: %q", *dir)
		}
	}
	return p, snap, nil
}

// load reads a configuration directory and says what is wrong with it.
func load(o *Options) (*plan, error) {
	set, err := config.Load(o.ConfigDir)
	if err != nil {
		return nil, err
	}
	p, snap, err := settings(set, o)
	if err != nil {
		return nil, err
	}
	if _, err := p.params.logMode(); err != nil {
		return nil, err
	}
	if _, err := config.ParseDuration(p.params.ThrottleTime, "s"); err != nil {
		return nil, fmt.Errorf("parameter service_throttle_time: %w", err)
	}
	if err := p.arrange(snap); err != nil {
		return nil, err
	}
	if o.Check != nil {
		if err := o.Check(set); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// order in which processes start: mail is taken in last, when all is there
// that handles it.
var roleOrder = []spec.Role{spec.Queue, spec.Local, spec.Outbound, spec.Inbound}

// arrange puts the rows into processes.
func (p *plan) arrange(snap *config.Snapshot) error {
	chrootQueue := true
	for _, row := range p.set.Master.Services {
		if p.params.disabled(row) {
			continue
		}
		role, known := spec.Roles[row.Command]
		if !known {
			return fmt.Errorf("%s, line %d: service %s: unknown command %q", row.File, row.Line, row.Name, row.Command)
		}
		if role == spec.Memory {
			continue
		}
		at, err := addresses(row, &p.params, snap)
		if err != nil {
			return err
		}
		g := group{role, row.Chroot}
		switch {
		case role == spec.Queue:
			// One process owns the queue. It is chrooted when all its rows ask.
			chrootQueue = chrootQueue && row.Chroot
			g.chroot = false
		case role == spec.Local:
			g.chroot = false // it must reach mailboxes and programs
		}
		p.rows[g] = append(p.rows[g], served{row, at})
	}
	queue := group{role: spec.Queue}
	if len(p.rows[queue]) == 0 {
		return fmt.Errorf("%s: no qmgr service", p.set.Master.Path)
	}
	rows := append(p.rows[queue], served{config.Service{Name: spec.Notify, Type: "unix-dgram"},
		[]address{{"unix-dgram", spec.Notify}}})
	delete(p.rows, queue)
	p.rows[group{spec.Queue, chrootQueue}] = rows
	for g := range p.rows {
		p.groups = append(p.groups, g)
	}
	slices.SortFunc(p.groups, func(a, b group) int {
		if a.role != b.role {
			return slices.Index(roleOrder, a.role) - slices.Index(roleOrder, b.role)
		}
		if a.chroot == b.chroot {
			return 0
		}
		if a.chroot {
			return 1
		}
		return -1
	})
	return p.unique()
}

// unique refuses two rows that want the same socket.
func (p *plan) unique() error {
	seen := map[address]config.Service{}
	for _, g := range p.groups {
		for _, s := range p.rows[g] {
			for _, a := range s.addresses {
				if other, found := seen[a]; found {
					return fmt.Errorf("%s, line %d: service %s listens on %s as the one in line %d does",
						s.row.File, s.row.Line, s.row.Name, a.name, other.Line)
				}
				seen[a] = s.row
			}
		}
	}
	return nil
}
