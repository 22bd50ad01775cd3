package run

import (
	"context"
	"fmt"

	"posthaste/internal/deliver"
	"posthaste/internal/deliver/discard"
	"posthaste/internal/deliver/fail"
	"posthaste/internal/deliver/remote"
	"posthaste/internal/deliver/smtp"
	"posthaste/internal/mail"
	"posthaste/internal/protocol/dns"
	"posthaste/internal/report"
	"posthaste/internal/system/host"
)

// outbound builds the process that delivers over the network.
func outbound(env *host.Env) ([]host.Part, error) {
	p := newProcess(env)
	var parts []host.Part
	for _, s := range env.Services {
		r, err := p.row(s.Service)
		if err != nil {
			return nil, err
		}
		agent, err := r.outboundAgent()
		if err != nil {
			return nil, r.fault(err)
		}
		parts = append(parts, delivering(s, r, agent))
	}
	return parts, nil
}

// outboundAgent makes the agent of a row.
func (r *row) outboundAgent() (deliver.Agent, error) {
	switch r.Command {
	case "smtp", "relay":
		var p smtp.Params
		if err := r.snap.Bind(&p); err != nil {
			return nil, err
		}
		return r.newClient(p, smtp.New)
	case "lmtp":
		var p smtp.Params
		if err := r.snap.BindAs(&p, "smtp_", "lmtp_"); err != nil {
			return nil, err
		}
		return r.newClient(p, smtp.NewLMTP)
	case "error", "retry":
		return fail.Agent{}, nil
	case "discard":
		return discard.Agent{}, nil
	}
	return nil, fmt.Errorf("no agent for command %q", r.Command)
}

// newClient makes an SMTP or LMTP client.
func (r *row) newClient(p smtp.Params, build func(smtp.Params, smtp.Deps) (*smtp.Agent, error)) (deliver.Agent, error) {
	interfaces, proxies, err := r.own()
	if err != nil {
		return nil, err
	}
	resolver, err := dns.NewSystem(resolvConf)
	if err != nil {
		return nil, err
	}
	relayhost, _ := r.snap.Get("relayhost")
	transcript, err := r.clientTranscripts()
	if err != nil {
		return nil, err
	}
	a, err := build(p, smtp.Deps{
		Log: r.log, Resolver: resolver, Hosts: dns.NewHosts(hostsFile), Tables: r.tables,
		Interfaces: interfaces, Proxies: proxies, Relayhost: relayhost, Transcript: transcript,
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// clientTranscripts tells the postmaster of servers that break the protocol, if
// he wants to know.
func (r *row) clientTranscripts() (func(context.Context, smtp.Transcript) error, error) {
	cleanup, err := r.find("cleanup")
	if err != nil {
		return nil, err
	}
	p, err := r.postmaster(submitter{socket(cleanup.Service)}.open)
	if err != nil || p.wanted&mail.TroubleProtocol == 0 {
		return nil, err
	}
	return func(ctx context.Context, t smtp.Transcript) error {
		program := "SMTP client"
		if t.LMTP {
			program = "LMTP client"
		}
		return p.Send(ctx, report.Transcript{Program: program, Peer: t.Peer, Trouble: mail.TroubleProtocol,
			Opening: "Unexpected response from " + t.Peer + ".", Lines: t.Lines})
	}, nil
}

// delivering makes a part of an agent behind the sockets of its row.
func delivering(s host.Service, r *row, agent deliver.Agent) host.Part {
	srv := remote.NewServer(agent, r.log, connections())
	part := listening(s, srv)
	if c, ok := agent.(interface{ Close() error }); ok {
		part.Drain = func(ctx context.Context) error {
			err := srv.Drain(ctx)
			c.Close() // says QUIT on connections that were kept
			return err
		}
	}
	return part
}

// absent is the agent of a service that is not implemented: its mail waits.
type absent struct{ command string }

// Deliver implements deliver.Agent.
func (a absent) Deliver(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
	for i := range r.Recipients {
		done(mail.RecipientIndex(i), mail.Defer("4.3.5", "mail transport %s is not implemented", a.command))
	}
	return nil
}
