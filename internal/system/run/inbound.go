package run

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"posthaste/internal/address"
	"posthaste/internal/config"
	"posthaste/internal/intake"
	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/receive/smtpd"
	"posthaste/internal/report"
	"posthaste/internal/system/host"
	"posthaste/internal/system/spec"
)

// inbound builds the process that speaks with clients.
func inbound(env *host.Env) ([]host.Part, error) {
	p := newProcess(env)
	base, err := p.find("cleanup")
	if err != nil {
		return nil, err
	}
	q, keep, err := base.openQueue(false)
	if err != nil {
		return nil, err
	}
	bell := ipc.NewBell(ipc.NewHint(spec.Notify))
	d, err := p.newDoor(q, func(id mail.QueueID) { bell.Ring(string(id)) })
	if err != nil {
		return nil, err
	}
	names, err := newNames()
	if err != nil {
		return nil, err
	}
	var anvil *smtpd.Anvil
	parts := []host.Part{keep}
	for _, s := range env.Services {
		switch s.Command {
		case "postscreen":
			// The tests of postscreen are not there; what it lets through goes
			// to the smtpd service of type pass, so that one answers.
			p.log.Warning("%s, line %d: service %s: postscreen is not implemented; smtpd answers", s.File, s.Line, s.Name)
			s.Service = p.behindPostscreen(s.Service)
		case "smtpd":
		default:
			p.log.Warning("%s, line %d: service %s: %s is not implemented", s.File, s.Line, s.Name, s.Command)
			continue
		}
		r, err := p.row(s.Service)
		if err != nil {
			return nil, err
		}
		srv, err := r.newSMTPD(d, names, &anvil)
		if err != nil {
			return nil, r.fault(err)
		}
		parts = append(parts, lasting(s, srv))
	}
	return parts, nil
}

// behindPostscreen is the row whose settings hold for clients that postscreen
// has let through.
func (p *process) behindPostscreen(s config.Service) config.Service {
	for _, other := range p.env.Set.Master.Services {
		if other.Type == "pass" && other.Command == "smtpd" {
			return other
		}
	}
	s.Command = "smtpd"
	return s
}

// newSMTPD makes the server of a row. Rows share the counters of anvil.
func (r *row) newSMTPD(d *door, names smtpd.Names, anvil **smtpd.Anvil) (*smtpd.Server, error) {
	var p smtpd.Params
	if err := r.snap.Bind(&p); err != nil {
		return nil, err
	}
	routing, deps, err := r.addresses()
	if err != nil {
		return nil, err
	}
	stressed, err := r.stressLimits()
	if err != nil {
		return nil, err
	}
	flush, err := r.flusher()
	if err != nil {
		return nil, err
	}
	postmaster, err := r.postmaster(func(ctx context.Context, e mail.Envelope) (report.Message, error) {
		return asNotice(d.with(intake.Options{Internal: true, Class: "notify"}).open(ctx, e))
	})
	if err != nil {
		return nil, err
	}
	if *anvil == nil {
		*anvil = smtpd.NewAnvil(p.Anvil.TimeUnit)
	}
	plain := d.with(intake.Options{Class: "smtpd"})
	return smtpd.New(p, smtpd.Deps{
		Log: r.log, Service: r.Name, Tables: r.tables, Names: names,
		Resolver: address.NewNamed(address.NewResolver(routing, deps)),
		Open: func(ctx context.Context, e mail.Envelope) (smtpd.Message, error) {
			m, err := plain.open(ctx, e)
			if err != nil {
				return nil, err // not a nil *message in an interface
			}
			return m, nil
		},
		Class:        r.snap.Get,
		IsOwn:        func(a netip.Addr) bool { return slices.Contains(deps.Own, a.Unmap()) },
		FreeSpace:    freeSpace,
		Flush:        flush,
		LeadingDash:  routing.Resolve.AllowMinUser,
		MaxSessions:  r.maxproc(),
		StressLimits: stressed,
		Wanted:       postmaster.wanted,
		Transcript: func(ctx context.Context, t smtpd.Transcript) error {
			ending := ""
			if t.Reason != "" {
				ending = "Session aborted, reason: " + t.Reason
			}
			return postmaster.Send(ctx, report.Transcript{Program: "SMTP server", Peer: t.Client, Trouble: t.Trouble,
				Lines: t.Lines, Ending: ending, Ends: true})
		},
		Anvil: *anvil,
	})
}

// stressLimits are the limits with $stress set, as master sets it in Postfix
// when all processes are busy.
func (r *row) stressLimits() (*smtpd.Limits, error) {
	s := r.Service
	s.Overrides = append(slices.Clone(s.Overrides), config.Override{Name: "stress", Value: "yes"})
	snap, err := config.ForService(r.env.Set.Main, r.catalog, s)
	if err != nil {
		return nil, err
	}
	limits := new(smtpd.Limits)
	return limits, snap.Bind(limits)
}

// freeSpace is how many bytes the queue's file system has left for us.
func freeSpace() (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(".", &st); err != nil {
		return 0, errors.Join(errors.New("queue directory"), err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}
