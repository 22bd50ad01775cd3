package schedule

import (
	"errors"
	"fmt"
	"runtime/debug"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// delivery is one call of an agent and what came of it.
type delivery struct {
	s       *Scheduler
	m       *message
	e       *entry
	service string
	agent   deliver.Agent

	reported []bool
	missing  int
	out      outcome
	cut      int   // recipients that were not tried because the scheduler stops
	err      error // of the agent
}

// start runs the agent for an entry beside the loop.
func (s *Scheduler) start(e *entry) {
	j := e.peer.job
	m := j.message
	e.started = s.clock.Now()
	s.running++
	m.running++
	e.only = m.pending == 1 && m.next == 0 && m.deferred == 0 && !m.interrupted
	run := &delivery{
		s: s, m: m, e: e, service: j.transport.name, agent: j.transport.agent,
		reported: make([]bool, len(e.recipients)), missing: len(e.recipients),
	}
	s.gang.Go(func() {
		run.run()
		if run.completes() {
			// Nobody else has anything to do with the message: it is removed
			// here, without a way through the loop and an ender.
			m.unmarked = run.out.unmarked
			m.over, m.endErr = true, s.end(m)
		}
		s.post(func() { s.ended(run) })
	})
}

// completes tells whether the message is done with this delivery.
func (r *delivery) completes() bool {
	return r.e.only && r.err == nil && r.missing == 0 && r.cut == 0 && r.out.deferred == 0
}

// run asks the agent and settles each recipient.
func (r *delivery) run() {
	info := r.m.about.Info
	request := deliver.Request{
		ID: r.m.id, Service: r.service, Nexthop: r.e.nexthop, Envelope: info.Envelope,
		Recipients: make([]mail.Recipient, len(r.e.recipients)),
		Size:       info.ContentSize, Content: info.Content,
	}
	for i, to := range r.e.recipients {
		request.Recipients[i] = to.Recipient
	}
	if info.VERP != "" && len(r.e.recipients) == 1 {
		request.Envelope.Sender = info.Sender.VERP(info.VERP, r.e.recipients[0].Recipient)
	}
	r.err = r.ask(request)
	if r.missing > 0 {
		r.settleMissing()
	}
}

// ask calls the agent. A panic in it ends this delivery, not the queue.
func (r *delivery) ask(request deliver.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			r.s.log.Warning("%s: transport %s: %s; stack: %s", r.m.id, r.service, err, debug.Stack())
		}
	}()
	return r.agent.Deliver(r.s.ctx, request, r.result)
}

// result takes the result of one recipient.
func (r *delivery) result(i mail.RecipientIndex, st mail.Status) {
	if i < 0 || int(i) >= len(r.reported) || r.reported[i] {
		return
	}
	r.reported[i] = true
	r.missing--
	last := r.e.only && r.missing == 0 && r.out.deferred == 0
	r.out.add(r.s.settle(r.m, r.e.recipients[i], st, attempt{r.service, r.e.started, last}))
}

// settleMissing settles the recipients without a result.
func (r *delivery) settleMissing() {
	if r.s.ctx.Err() != nil { // whatever the agent made of being cut off
		r.cut = r.missing
		return
	}
	st := none(mail.Defer("4.3.0", "unknown mail transport error"))
	var site *deliver.SiteError
	switch {
	case errors.As(r.err, &site):
		st = site.Status
	case r.unreachable():
		st = none(mail.Defer("4.3.0", "mail transport unavailable"))
	case r.err != nil:
		r.s.log.Warning("%s: transport %s failure: %s", r.m.id, r.service, r.err)
	default:
		r.s.log.Warning("%s: transport %s reported no result for %d recipients", r.m.id, r.service, r.missing)
	}
	for i := range r.reported {
		if !r.reported[i] {
			r.result(mail.RecipientIndex(i), st)
		}
	}
}

func (r *delivery) unreachable() bool {
	f := r.s.deps.Unreachable
	return r.err != nil && f != nil && f(r.err)
}

// ended takes a delivery into the books: feedback for the destination, room for
// others, and the message's progress.
func (s *Scheduler) ended(r *delivery) {
	j, d, m := r.e.peer.job, r.e.peer.dest, r.m
	t := j.transport
	var site *deliver.SiteError
	switch {
	case r.unreachable():
		s.unreachable(t, r.err)
	case errors.As(r.err, &site):
		if site.Status.Action == mail.Deferred {
			d.failed(s, site.Status)
		}
	case r.err == nil && r.cut == 0:
		d.succeeded(s)
	}
	n := len(r.e.recipients)
	t.running--
	s.running--
	m.running--
	d.busy--
	d.pause(s)
	d.settle()
	t.pause(s)
	s.ready(t)
	j.inCore -= n
	t.releaseSlots(j)
	s.forgetRecipients(m, n)
	m.pending--
	if r.cut > 0 {
		m.interrupted = true
	}
	if errors.Is(r.err, record.ErrDamaged) {
		m.damaged = true
	}
	s.account(m, j, r.out)
}
