package schedule

import (
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
)

// transport is a delivery service of master.cf with all that is to be delivered
// by it.
type transport struct {
	name    string
	params  transportParams
	agent   deliver.Agent
	maxproc int // deliveries at a time; 0: no limit

	destinations map[string]*destination
	open         heap[*destination] // those that may start an entry, by their first peer
	candidates   [sizeClasses]*waits
	unread       heap[*job] // jobs whose messages have unread recipients, oldest first
	freeSlots    int        // recipient slots, see slots.go; below zero: so many of the extra ones are used

	running int
	turn    uint64 // counts chosen entries
	dead    bool   // its service cannot be reached
	deaths  int    // how often it died, so that old timers know
	status  mail.Status
	pausing bool // rate delay
	inReady bool // in Scheduler.readyTransports

	lastCandidate, candidateOf *job // preempt.go
	candidateAt                time.Duration
}

// transport finds or makes a transport. A service without an agent is made as a
// dead one.
func (s *Scheduler) transport(name string) *transport {
	t := s.transports[name]
	if t != nil {
		return t
	}
	params, err := s.params.forTransport(name, s.deps.Override)
	if err != nil {
		s.log.Warning("%s; the default is used", err)
	}
	t = &transport{
		name: name, params: params, destinations: map[string]*destination{},
		freeSlots: params.recipients,
	}
	t.open.less = func(a, b *destination) bool { return a.peers.top().before(b.peers.top()) }
	t.open.place = func(d *destination) *int { return &d.place }
	t.unread.less = olderFirst
	t.unread.place = func(j *job) *int { return &j.unreadPlace }
	s.transports[name] = t
	s.findAgent(t)
	return t
}

// findAgent looks for the transport's agent; without one the transport is dead
// for transport_retry_time.
func (s *Scheduler) findAgent(t *transport) {
	agent, maxproc, err := s.deps.Agents.Agent(t.name)
	if err != nil {
		s.unreachable(t, err)
		return
	}
	t.agent, t.maxproc = agent, maxproc
	if t.params.transportDelay > 0 {
		t.maxproc = 1
	}
}

// unreachable suspends a transport whose service does not answer and defers
// what waits for it.
func (s *Scheduler) unreachable(t *transport, err error) {
	if t.dead {
		return
	}
	s.log.Warning("connect to transport private/%s: %s", t.name, err)
	t.dead = true
	t.status = mail.Defer("4.3.0", "mail transport unavailable")
	for _, d := range t.destinations {
		s.deferAll(d, t.status)
	}
	t.deaths++
	death := t.deaths
	s.after(s.params.TransportRetry, func() {
		if t.dead && death == t.deaths {
			s.reviveTransport(t)
		}
	})
}

func (s *Scheduler) reviveTransport(t *transport) {
	t.dead = false
	s.findAgent(t)
	s.ready(t)
}

// mayStart tells whether one more entry may start.
func (t *transport) mayStart() bool {
	return t.open.len() > 0 && !t.dead && !t.pausing && (t.maxproc == 0 || t.running < t.maxproc)
}

// next chooses the entry to deliver: of the first job in the order of jobs that
// has a destination with room, after a better one had its chance to overtake;
// within a job the destinations take turns.
func (t *transport) next(now time.Duration) *entry {
	t.overtake(t.open.top().peers.top().job, now)
	d := t.open.top()
	p := d.peers.top()
	j := p.job
	e := p.next()
	j.queued--
	j.selected++
	if j.borrowed > 0 {
		j.borrowed--
	}
	t.turn++
	p.turn = t.turn
	d.queued--
	d.busy++
	t.running++
	if len(p.queue) == 0 {
		p.leave()
	}
	t.consider(j)
	d.settle()
	if j.selected == 1 {
		t.begins(j)
	}
	return e
}

// pause keeps the transport from starting entries for the rate delay.
func (t *transport) pause(s *Scheduler) {
	if t.params.transportDelay == 0 {
		return
	}
	t.pausing = true
	s.after(t.params.transportDelay, func() {
		t.pausing = false
		s.ready(t)
	})
}

// ready queues a transport that may start an entry for the next dispatch.
// Transports take turns.
func (s *Scheduler) ready(t *transport) {
	if !t.inReady && t.mayStart() {
		t.inReady = true
		s.readyTransports = append(s.readyTransports, t)
	}
}

// dispatch starts all entries that may start now.
func (s *Scheduler) dispatch() {
	for len(s.readyTransports) > 0 && !s.stopping && s.mayRun() {
		t := s.readyTransports[0]
		s.readyTransports[0] = nil
		s.readyTransports = s.readyTransports[1:]
		t.inReady = false
		if !t.mayStart() {
			continue
		}
		s.start(t.next(s.clock.Elapsed()))
		s.ready(t)
	}
}
