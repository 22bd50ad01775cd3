package run

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"posthaste/internal/flush"
	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/system/host"
)

// flushServer is the socket of flush(8): deliveries on demand, of one message or
// of all mail for a site.
type flushServer struct {
	sites   *flush.Service // nil: master.cf has no flush service
	refresh time.Duration  // fast_flush_refresh_time
	send    func(...mail.QueueID)
	log     *maillog.Logger
}

// newFlush makes the server, and the part that keeps the records of sites in
// order; the part has no name when there is nothing to do. send asks the
// scheduler for deliveries.
func (p *process) newFlush(q *queue.Queue, send func(...mail.QueueID)) (flushServer, host.Part, error) {
	r, err := p.find("flush")
	if err != nil {
		return flushServer{}, host.Part{}, err
	}
	f := flushServer{send: send, log: r.log}
	if r.Name == "" {
		return f, host.Part{}, nil
	}
	var params flush.Params
	if err := r.snap.Bind(&params); err != nil {
		return f, host.Part{}, r.fault(err)
	}
	f.refresh = params.RefreshTime
	f.sites = flush.New(params, flush.Deps{Queue: q, Eligible: r.flushDomains().Match, Send: send, Warn: r.log.Warning})
	if r.Wakeup <= 0 {
		return f, host.Part{}, nil
	}
	return f, host.Part{Name: "flush", Serve: func(ctx context.Context) error {
		f.sites.Serve(ctx, r.Wakeup)
		return nil
	}}, nil
}

// deferred tells of a delivery that has failed for now.
func (f flushServer) deferred(id mail.QueueID, to mail.Address) {
	if f.sites != nil {
		f.sites.Deferred(id, to)
	}
}

// The answers of flush.
const (
	flushOK   = 0
	flushFail = -1
	flushBad  = 3
	flushDeny = 4
)

// serve answers one request. A single byte that asks to wake up, as master
// sends it to other services, is no request, and is not answered.
func (f flushServer) serve(ctx context.Context, c net.Conn) {
	c.SetDeadline(time.Now().Add(triggerTime))
	out := ipc.Attributes{Writer: bufio.NewWriter(c)}
	out.Announce("queue_flush_protocol")
	told := out.Flush() // a client that only writes may be gone
	in := bufio.NewReader(c)
	if first, err := in.Peek(1); err == nil && first[0] == wishWakeup {
		if f.sites != nil {
			f.sites.Refresh(f.refresh)
		}
		return
	}
	if told != nil {
		return
	}
	request, err := ipc.ReadAttributes(in)
	if err != nil {
		return
	}
	do := f.do
	if ctx.Err() != nil {
		do = handOn
	}
	status, after := do(ctx, request)
	out.Number("status", int64(status))
	out.End()
	out.Flush()
	if after != nil {
		after()
	}
}

// handOn lets the successor of this process, which leaves, do what a request
// asks for.
func handOn(_ context.Context, request map[string]string) (status int, after func()) {
	var words []string
	for name, value := range request {
		words = append(words, name, value)
	}
	answer, err := ipc.Ask(flushSocket, triggerTime, words...)
	if status, e := strconv.Atoi(answer["status"]); err == nil && e == nil {
		return status, nil
	}
	return flushFail, nil
}

// do does what a request asks for; after is work that its client does not wait
// for.
func (f flushServer) do(ctx context.Context, request map[string]string) (status int, after func()) {
	id, site := mail.QueueID(request["queue_id"]), request["site"]
	var err error
	switch request["request"] {
	case "send_file":
		if !id.Valid() {
			return flushBad, nil
		}
		f.send(id)
		return flushOK, nil
	case "add", "send_site", "refresh", "purge":
		if f.sites == nil {
			return flushDeny, nil
		}
	default:
		return flushFail, nil
	}
	switch request["request"] {
	case "add":
		if !id.Valid() {
			return flushBad, nil
		}
		err = f.sites.Add(ctx, site, id)
	case "send_site":
		err = f.sites.SendSite(ctx, site)
	case "refresh":
		after = func() { f.sites.Refresh(f.refresh) }
	case "purge":
		after = func() { f.sites.Refresh(0) }
	}
	switch {
	case errors.Is(err, flush.ErrDenied):
		return flushDeny, nil
	case err != nil:
		f.log.Warning("flush log of %s: %s", site, err)
		return flushFail, nil
	}
	return flushOK, after
}
