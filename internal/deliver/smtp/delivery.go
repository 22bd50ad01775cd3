package smtp

import (
	"context"
	"fmt"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
)

// recipient is where one recipient of a request stands.
type recipient struct {
	finished bool
	judged   bool         // the current session's server said something final about it
	kept     *mail.Status // a server deferred it; another may take it
}

// delivery is one request on its way. It is used by one goroutine.
type delivery struct {
	agent   *Agent
	ctx     context.Context
	req     *deliver.Request
	done    func(mail.RecipientIndex, mail.Status)
	rcpts   []recipient
	left    int // recipients without a result
	started time.Time
	ready   time.Time // when the current session was ready; zero: there is none

	why   *failure // why the last server did not take all
	fault error    // our own: nothing further is tried
	tried map[string]bool
}

// run tries the destinations one after the other.
func (d *delivery) run() error {
	hops, err := parseHops(d.req.Nexthop, d.agent.lmtp, d.agent.params.TCPPort)
	if err != nil {
		return d.siteError(local("4.3.5", "%s", err))
	}
	given := len(hops)
	hops = append(hops, d.agent.fallback...)
	for i := range hops {
		h := &hops[i]
		last := d.try(h, i == len(hops)-1)
		if d.settled() || last {
			d.safetyNet(i >= given)
			break
		}
	}
	return d.conclude()
}

// try attempts one destination, and tells whether no other may follow.
func (d *delivery) try(h *hop, last bool) bool {
	d.agent.cache.begin(h.key())
	defer d.agent.cache.end(h.key())
	where, f := d.agent.locate(d.ctx, h)
	last = last || where.weAre
	if f != nil {
		d.why = f
		return last
	}
	limit := d.agent.params.MXSessionLimit
	sessions := d.reuse(h, where.peers, last, limit)
	for i := range where.peers {
		if d.settled() || limit > 0 && sessions >= limit {
			break
		}
		p := &where.peers[i]
		if d.tried[p.endpoint()] {
			continue
		}
		final := last && d.remains(where.peers[i:], p) == 0
		if d.attempt(h, p, final, last && sessions+1 == limit) {
			sessions++
		}
	}
	return last
}

// attempt delivers over a connection to one server, kept or new. It tells
// whether a session came about: then lastSession makes its outcome final.
func (d *delivery) attempt(h *hop, p *peer, final, lastSession bool) bool {
	for {
		s, f := d.session(p, d.agent.detectsLoops(h))
		if f != nil {
			d.failAll(f, final)
			return false
		}
		if d.use(s, h, final || lastSession) {
			return true
		}
	}
}

// settled tells whether nothing remains to be tried.
func (d *delivery) settled() bool {
	if d.fault == nil {
		d.fault = d.ctx.Err()
	}
	return d.left == 0 || d.fault != nil
}

// remains counts the servers that may be tried after this one.
func (d *delivery) remains(peers []peer, after *peer) (n int) {
	for i := range peers {
		if at := peers[i].endpoint(); at != after.endpoint() && !d.tried[at] {
			n++
		}
	}
	return n
}

// reuse delivers over one connection that was kept for this destination, before
// a new one is made. It counts the sessions, 0 or 1.
func (d *delivery) reuse(h *hop, peers []peer, last bool, limit int) int {
	for !d.settled() {
		s := d.agent.cache.takeHop(h.key())
		switch {
		case s == nil:
			return 0
		case !d.fresh(s):
			s.quit()
		case d.tried[s.peer.endpoint()]: // by another destination of this list
			d.agent.cache.put(s)
			return 0
		default:
			if d.use(s, h, last && (limit == 1 || d.remains(peers, &s.peer) == 0)) {
				return 1
			}
		}
	}
	return 0
}

// fresh tells whether a session may be used once more.
func (d *delivery) fresh(s *session) bool {
	p := &d.agent.params
	return time.Since(s.since) < p.ReuseTimeLimit && (p.ReuseCountLimit == 0 || s.uses <= p.ReuseCountLimit)
}

// session is a connection to a server, kept or new.
func (d *delivery) session(p *peer, loops bool) (*session, *failure) {
	for {
		s := d.agent.cache.takePeer(p.endpoint())
		switch {
		case s == nil:
			return d.open(p, loops)
		case d.fresh(s):
			s.peer = *p // the same server may have another name in this domain
			return s, nil
		}
		s.quit()
	}
}

// use runs the transaction over a session, and keeps or closes it. It returns
// false, and nothing has happened, when a kept session turns out to be dead.
func (d *delivery) use(s *session, h *hop, final bool) bool {
	d.ready = time.Now()
	s.uses++
	t := transaction{delivery: d, session: s, final: final}
	stop := context.AfterFunc(d.ctx, s.interrupt)
	t.run()
	stop()
	d.ready = time.Time{}
	for i := range d.rcpts {
		d.rcpts[i].judged = false
	}
	if t.stale {
		s.conn.Close()
		return false
	}
	if d.left > 0 {
		if d.tried == nil {
			d.tried = map[string]bool{}
		}
		d.tried[s.peer.endpoint()] = true
	}
	if d.ctx.Err() == nil && d.keeps(s, h) {
		s.hopKey = h.key()
		s.closeHistory(d.ctx, d.req.Envelope.Sender)
		d.agent.cache.put(s)
	} else {
		s.quit()
		s.closeHistory(d.ctx, d.req.Envelope.Sender)
	}
	return true
}

// keeps tells whether a session is worth keeping for the next message.
func (d *delivery) keeps(s *session, h *hop) bool {
	if s.broken || s.closing || !d.fresh(s) {
		return false
	}
	if d.agent.params.CacheOnDemand && d.agent.cache.busy(h.key()) {
		return true
	}
	if d.agent.keepFor == nil {
		return false
	}
	listed, err := d.agent.keepFor.Match(d.ctx, h.name())
	if err != nil {
		d.agent.deps.Log.Warning("%s", err)
	}
	return listed
}

// failAll applies a failure to all recipients that are left. A soft one is
// only logged while other servers remain, and at the end, when the server as a
// whole does not work, it becomes the destination's status.
func (d *delivery) failAll(f *failure, final bool) {
	d.why = f
	soft := f.soft(d.agent.params.Common.SoftBounce)
	switch {
	case f.status.Relay == "" && f.site: // no session: the text names the server
		d.agent.deps.Log.Info("%s", f.status.Reason)
	case soft && !final:
		d.agent.deps.Log.Info("%s: %s", d.req.ID, f.status.Reason)
	}
	if soft && f.site {
		return
	}
	for i := range d.rcpts {
		if !d.rcpts[i].judged && !d.rcpts[i].finished {
			d.fail(i, f, final)
		}
	}
}

// fail applies a failure to one recipient: it is final, or another server may
// take the recipient.
func (d *delivery) fail(i int, f *failure, final bool) {
	d.rcpts[i].judged = true
	if f.soft(d.agent.params.Common.SoftBounce) && !final {
		st := d.complete(f.status)
		d.rcpts[i].kept = &st
		return
	}
	d.finish(i, d.complete(f.status))
}

// complete adds the times to a status.
func (d *delivery) complete(st mail.Status) mail.Status {
	now := time.Now()
	if d.ready.IsZero() {
		st.Setup = now.Sub(d.started)
	} else {
		st.Setup, st.Transmit = d.ready.Sub(d.started), now.Sub(d.ready)
	}
	if st.Relay == "" {
		st.Relay = "none"
	}
	if !d.req.Envelope.Trace.Delivers() {
		switch st.Action {
		case mail.Delivered, mail.Relayed, mail.Passed:
			st.Action = mail.Deliverable
		case mail.Bounced:
			st.Action = mail.Undeliverable
		}
	}
	return st
}

func (d *delivery) finish(i int, st mail.Status) {
	if d.rcpts[i].finished {
		return
	}
	d.rcpts[i].finished = true
	d.left--
	d.done(mail.RecipientIndex(i), st)
}

// safetyNet turns a permanent failure that is a mistake of this site's
// configuration into a temporary one, so that no mail is returned for it.
func (d *delivery) safetyNet(fallback bool) {
	if d.left == 0 || d.why == nil || d.why.soft(false) {
		return
	}
	switch {
	case fallback:
		d.agent.deps.Log.Warning("smtp_fallback_relay configuration problem")
	case !d.agent.lmtp && d.agent.deps.Relayhost != "" && d.req.Nexthop == d.agent.deps.Relayhost:
		d.agent.deps.Log.Warning("relayhost configuration problem")
	default:
		return
	}
	d.why.status.Code = "4.3.5"
	d.why.classify()
}

// conclude gives every recipient that is left its result.
func (d *delivery) conclude() error {
	if d.fault != nil {
		return fmt.Errorf("%s: %w", d.req.ID, d.fault)
	}
	if d.left == 0 {
		return nil
	}
	if d.why == nil {
		d.why = siteFailure("4.3.0", "server unavailable or unable to receive mail")
	}
	// What a server said of a recipient tells more than why another server
	// could not be asked.
	for i := range d.rcpts {
		if kept := d.rcpts[i].kept; kept != nil {
			d.finish(i, *kept)
		}
	}
	if d.left == 0 {
		return nil
	}
	if d.why.status.Action != mail.Deferred {
		for i := range d.rcpts {
			d.finish(i, d.complete(d.why.status))
		}
		return nil
	}
	return d.siteError(d.why)
}

func (d *delivery) siteError(f *failure) error {
	return &deliver.SiteError{Status: d.complete(f.status)}
}
