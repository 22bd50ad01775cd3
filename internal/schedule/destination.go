package schedule

import (
	"time"

	"posthaste/internal/mail"
)

// destination is a next hop of a transport (in Postfix's words: a queue), or,
// when the transport takes one recipient at a time, a recipient. It lives as
// long as something waits or runs for it, and while it is dead or pausing.
type destination struct {
	transport *transport
	key       string
	nexthop   string

	peers  heap[*peer] // with queued entries; the first is served next
	queued int         // entries waiting
	busy   int         // entries being delivered
	window window
	lots   []*lot // jobs parked here, park.go

	status     mail.Status // why it is dead, when window.size is 0
	deaths     int         // how often it died, so that old timers know
	pausing    bool        // rate delay
	clogWarned time.Duration
	place      int // in transport.open
}

// destination finds or makes the destination of a recipient.
func (t *transport) destination(nexthop string, to mail.Address) *destination {
	key := nexthop
	if t.params.recipientLimit == 1 {
		key = nexthop + "\x00" + string(to)
	}
	d := t.destinations[key]
	if d == nil {
		d = &destination{transport: t, key: key, nexthop: nexthop}
		d.window.size = t.params.initialConcurrency
		d.peers.less = (*peer).before
		d.peers.place = func(p *peer) *int { return &p.place }
		t.destinations[key] = d
	}
	return d
}

// mayStart tells whether one more entry may start.
func (d *destination) mayStart() bool {
	return d.queued > 0 && !d.pausing && d.busy < d.window.size
}

// dead tells whether deliveries are suspended after failures.
func (d *destination) dead() bool { return d.window.size == 0 }

// settle enters the destination in, or removes it from, the open ones of its
// transport, after any change to it; one that is no more needed is forgotten.
func (d *destination) settle() {
	t := d.transport
	switch {
	case d.mayStart():
		t.open.put(d)
		t.unpark(d)
	default:
		t.open.take(d)
		if d.queued == 0 && d.busy == 0 && !d.dead() && !d.pausing {
			delete(t.destinations, d.key)
		}
	}
}

// pause keeps the destination from starting entries for the rate delay.
func (d *destination) pause(s *Scheduler) {
	delay := d.transport.params.destinationDelay
	if delay == 0 || d.dead() {
		return
	}
	d.pausing = true
	s.after(delay, func() {
		d.pausing = false
		d.settle()
		s.ready(d.transport)
	})
}

// failed counts a connection or handshake failure; a destination that becomes
// dead loses what waits for it.
func (d *destination) failed(s *Scheduler, st mail.Status) {
	before := d.window.size
	if !d.window.failed(&d.transport.params) {
		s.feedbackLog(d, before)
		return
	}
	s.feedbackLog(d, before)
	if before > 0 {
		d.die(s, st)
	}
}

// die suspends deliveries to the destination for minimal_backoff_time and
// defers what waits for it.
func (d *destination) die(s *Scheduler, st mail.Status) {
	d.window.size = 0
	d.status = st
	d.status.Action = mail.Deferred
	d.status.Reason = "delivery temporarily suspended: " + st.Reason
	s.deferAll(d, d.status)
	// The list of dead destinations is bounded; past the bound the next
	// message has to find out again.
	s.deadCount++
	d.deaths++
	if s.deadCount > s.params.RecipientLimit {
		d.revive(s)
		return
	}
	death := d.deaths
	s.after(s.params.MinimalBackoff, func() {
		if d.dead() && death == d.deaths {
			d.revive(s)
		}
	})
}

// revive makes a dead destination as good as new.
func (d *destination) revive(s *Scheduler) {
	s.deadCount--
	d.window = window{size: d.transport.params.initialConcurrency}
	d.settle()
	s.ready(d.transport)
}

// succeeded counts a delivery that failed neither to connect nor to shake
// hands.
func (d *destination) succeeded(s *Scheduler) {
	if d.dead() {
		d.revive(s) // it was suspended meanwhile, and works after all
		return
	}
	before := d.window.size
	d.window.succeeded(d.busy, &d.transport.params)
	s.feedbackLog(d, before)
}

func (s *Scheduler) feedbackLog(d *destination, before int) {
	if !s.params.FeedbackDebug {
		return
	}
	w := &d.window
	s.log.Info("feedback: %s/%s: concurrency %d to %d, limit %d, busy %d, success %.3f, failure %.3f, failed cohorts %.3f",
		d.transport.name, d.nexthop, before, w.size, d.transport.params.concurrencyLimit,
		d.busy, w.success, w.failure, w.failedCohorts)
}

// warnClogged warns about a destination that fills most of the active queue.
func (s *Scheduler) warnClogged(d *destination) {
	p := &s.params
	if !s.common.HelpfulWarnings || p.ClogWarnTime == 0 {
		return
	}
	active, mine := len(s.messages), d.queued+d.busy
	if active <= p.ActiveLimit/4 || mine <= active*4/5 {
		return
	}
	now := s.clock.Elapsed()
	if d.clogWarned != 0 && now-d.clogWarned < p.ClogWarnTime {
		return
	}
	d.clogWarned = now
	s.log.Warning("mail for %s is using up %d of %d active queue entries", d.nexthop, mine, active)
	s.log.Warning("this delays other mail; consider a transport of its own for %s, a higher concurrency or process limit for %s, or longer back-off times", d.nexthop, d.transport.name)
	s.log.Warning("qmgr_clog_warn_time = 0 turns these warnings off")
}
