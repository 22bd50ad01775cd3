package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"posthaste/internal/address"
	"posthaste/internal/deliver"
	"posthaste/internal/deliver/local"
	"posthaste/internal/deliver/remote"
	"posthaste/internal/deliver/user"
	"posthaste/internal/deliver/virtual"
	"posthaste/internal/mail"
	"posthaste/internal/mailbox"
	"posthaste/internal/system/host"
	"posthaste/internal/table"
	"posthaste/internal/table/open"
)

// localDelivery builds the process that delivers on this machine. With root it
// plans only: work with users' rights is done by children of a broker, which
// it starts before it gives up its own rights.
func localDelivery(env *host.Env) ([]host.Part, error) {
	p := newProcess(env)
	worker, parts, err := newWorker()
	if err != nil {
		return nil, err
	}
	// Users write some of these tables: no text of a sender may come out of them.
	strict := open.New(table.Options{Warn: p.log.Warning, UTF8: true, NoRegSub: true})
	for _, s := range env.Services {
		r, err := p.row(s.Service)
		if err != nil {
			return nil, err
		}
		var agent deliver.Agent
		switch s.Command {
		case "local":
			agent, err = r.newLocal(worker, strict)
		case "virtual":
			agent, err = r.newVirtual(worker, strict)
		default:
			p.log.Warning("%s, line %d: service %s: %s is not implemented; its mail waits in the queue", s.File, s.Line, s.Name, s.Command)
			agent = absent{s.Command}
		}
		if err != nil {
			return nil, r.fault(err)
		}
		parts = append(parts, delivering(s, r, agent))
	}
	return parts, nil
}

func (r *row) newVirtual(w user.Worker, tables table.Opener) (deliver.Agent, error) {
	var p virtual.Params
	if err := r.snap.Bind(&p); err != nil {
		return nil, err
	}
	return virtual.New(p, virtual.Deps{Tables: tables, Worker: w, Log: r.log})
}

func (r *row) newLocal(w user.Worker, tables table.Opener) (deliver.Agent, error) {
	var p local.Params
	if err := r.snap.Bind(&p); err != nil {
		return nil, err
	}
	rewriting, deps, err := r.addresses()
	if err != nil {
		return nil, err
	}
	cleanup, err := r.find("cleanup")
	if err != nil {
		return nil, err
	}
	others, _, err := r.agents(r.log)
	if err != nil {
		return nil, err
	}
	return local.New(p, local.Deps{
		Tables: tables, Accounts: user.SystemAccounts(), Worker: w,
		Forwarder: submitter{socket(cleanup.Service)},
		Router:    router{address.NewRewriter(rewriting), address.NewResolver(rewriting, deps)},
		Transport: func(service string) (deliver.Agent, error) {
			a, _, err := others.Agent(service)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", remote.ErrUnavailable, err)
			}
			return a, nil
		},
		Log: r.log, Propagate: rewriting.Map.Propagate,
	})
}

// router tells local which addresses of an alias are its own.
type router struct {
	rewriter *address.Rewriter
	resolver *address.Resolver
}

// Route implements local.Router.
func (r router) Route(ctx context.Context, a mail.Address) (mail.Address, bool, error) {
	rewritten := r.rewriter.Rewrite(a, address.Local)
	route, err := r.resolver.Resolve(ctx, "", rewritten)
	if err != nil {
		return "", false, err
	}
	return rewritten, route.Class == address.ClassLocal, nil
}

// newWorker makes what does file and command work: without root this process
// itself, else the children of a broker, whose life is a part of this process.
func newWorker() (user.Worker, []host.Part, error) {
	if os.Geteuid() != 0 {
		return user.Direct{Gather: new(mailbox.Gather)}, nil, nil
	}
	ours, theirs, err := user.Sockets()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"posthaste", "child", brokerRole}, Stderr: os.Stderr,
		Env: os.Environ(), ExtraFiles: []*os.File{theirs},
	}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, nil, fmt.Errorf("cannot start the broker: %w", err)
	}
	pool, err := user.NewPool(ours, 0, 0)
	if err != nil {
		return nil, nil, err
	}
	part := host.Part{
		Name: "broker",
		Serve: func(ctx context.Context) error {
			// Without its broker this process is of no use: master replaces both.
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case err := <-ended:
				return fmt.Errorf("it has ended: %v", err)
			case <-ctx.Done():
				return nil
			}
		},
	}
	return pool, []host.Part{part}, nil
}

// brokerFD is the broker's end of the socket to its planner.
const brokerFD = 3

// serveBroker is the life of the broker, which keeps root's rights. It ends
// when the planner does.
func serveBroker() error {
	if os.Geteuid() != 0 {
		return errors.New("broker: must be root")
	}
	b := user.Broker{Args: []string{"posthaste", "child", userRole}, Env: os.Environ()}
	return b.Serve(os.NewFile(brokerFD, "planner"))
}
