package run

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"posthaste/internal/address"
	"posthaste/internal/config"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/system/host"
	"posthaste/internal/table"
	"posthaste/internal/table/open"
)

// process is what the parts of one process share.
type process struct {
	env     *host.Env
	catalog *config.Catalog
	log     *maillog.Logger
	tables  *open.Opener // shared, so that each table is open once
}

func newProcess(env *host.Env) *process {
	p := &process{env: env, catalog: Catalog(), log: env.Log}
	p.tables = open.New(table.Options{Warn: p.log.Warning, UTF8: true})
	return p
}

// row is a row of master.cf with its own configuration and log name.
type row struct {
	*process
	config.Service
	snap   *config.Snapshot
	common config.Common
	log    *maillog.Logger
}

// row makes the configuration of a row.
func (p *process) row(s config.Service) (*row, error) {
	r := &row{process: p, Service: s}
	var err error
	if r.snap, err = config.ForService(p.env.Set.Main, p.catalog, s); err != nil {
		return nil, err
	}
	if err = r.snap.Bind(&r.common); err != nil {
		return nil, err
	}
	r.log = p.log.WithBase(r.common.SyslogName).Named(daemonName(s.Command))
	return r, nil
}

// daemonName is what a command is called in the log.
func daemonName(command string) string {
	switch command {
	case "oqmgr", "nqmgr":
		return "qmgr"
	case "relay":
		return "smtp"
	case "retry":
		return "error"
	case "defer", "trace":
		return "bounce"
	}
	return command
}

// fault says in which row something is wrong.
func (r *row) fault(err error) error {
	if r.Line == 0 {
		return err
	}
	return fmt.Errorf("%s, line %d: service %s: %w", r.File, r.Line, r.Name, err)
}

// maxproc is the limit of sessions or deliveries at a time; 0: none.
func (r *row) maxproc() int {
	if r.MaxProc == config.MaxProcDefault {
		return r.common.DefaultProcessLimit
	}
	return r.MaxProc
}

// find returns the row of a command, with the settings of a service without
// one when master.cf has none.
func (p *process) find(command string) (*row, error) {
	for _, s := range p.env.Set.Master.Services {
		if s.Command == command {
			return p.row(s)
		}
	}
	return p.row(config.Service{Command: command, MaxProc: config.MaxProcDefault})
}

// socket is where a service listens, relative to the queue directory.
func socket(s config.Service) string {
	if s.Private {
		return filepath.Join("private", s.Name)
	}
	return filepath.Join("public", s.Name)
}

// own returns the addresses of inet_interfaces and of proxy_interfaces.
func (r *row) own() (interfaces, proxies []netip.Addr, err error) {
	networks, err := r.snap.OwnNetworks()
	if err != nil {
		return nil, nil, err
	}
	for _, n := range networks {
		interfaces = append(interfaces, n.Addr())
	}
	for _, text := range r.common.ProxyInterfaces {
		a, err := netip.ParseAddr(strings.Trim(text, "[]"))
		if err != nil {
			return nil, nil, fmt.Errorf("parameter proxy_interfaces: %q is not an address", text)
		}
		proxies = append(proxies, a)
	}
	return interfaces, proxies, nil
}

// addresses binds the parameters of rewriting and routing, and makes what
// their tables need.
func (r *row) addresses() (address.Params, address.Deps, error) {
	var p address.Params
	if err := r.snap.Bind(&p); err != nil {
		return p, address.Deps{}, err
	}
	interfaces, proxies, err := r.own()
	return p, address.Deps{Tables: r.tables, Own: append(interfaces, proxies...), Log: r.log}, err
}

// settleTime is how long a process that leaves waits for the other to leave the
// journal.
const settleTime = time.Second / 2

// openQueue opens the queue in the working directory, and makes the part that
// keeps it durable. sweep is for the one process that owns the whole queue.
func (r *row) openQueue(sweep bool) (*queue.Queue, host.Part, error) {
	q, err := queue.New(queue.Options{
		FS: queue.DirFS("."), HashNames: r.common.HashQueueNames, HashDepth: r.common.HashQueueDepth,
		ShortIDs: !r.common.LongQueueIDs, Journal: queue.WholeJournal,
		MaxDelay: max(r.duration("maximal_backoff_time", "s"), r.duration("minimal_backoff_time", "s")),
	})
	if err != nil {
		return nil, host.Part{}, err
	}
	return q, host.Part{
		Name: "queue",
		Serve: func(ctx context.Context) error {
			// Work in hand goes on after ctx ends, so that this must too.
			q.Keep(context.WithoutCancel(ctx), sweep, func(err error) { r.log.Warning("queue: %s", err) })
			return nil
		},
		Finish: func(context.Context) { q.Slim() },
		Close: func() error {
			ctx, cancel := context.WithTimeout(context.Background(), settleTime)
			defer cancel()
			return errors.Join(q.Settle(ctx), q.Close())
		},
	}, nil
}
