package schedule

import (
	"sync"
	"sync/atomic"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// message is a claimed message. The loop owns all but the fields of the first
// group, which do not change after it was made, and claim, which has a lock.
type message struct {
	id        mail.QueueID
	about     Claimed
	flush     bool // claimed by a flush: dead and deferred transports are tried
	arrival   uint64
	scan      int           // of the deferred queue, the last one that had begun
	activated time.Duration // when it became active, on the clock that never jumps
	active    time.Time     // the same as time of day, for the log

	mu    sync.Mutex // one call to claim at a time
	claim Claim
	// unrecorded tells that there is no bounce or trace log for sure.
	unrecorded atomic.Bool

	jobs     map[*transport]*job
	next     record.Position // unread recipients begin here; 0: none
	rest     int             // how many they are
	refilled time.Duration
	inCore   int  // recipients waiting or being delivered
	slots    int  // sum over the jobs, see slots.go
	pending  int  // entries, and pieces of work on other goroutines
	running  int  // deliveries
	open     bool // the claim has more open than a message needs to wait, descriptors.go
	loading  bool // a window of recipients is being read

	deferred    int  // recipients that failed for now in this attempt
	interrupted bool // not all recipients were tried: the scheduler stops
	unlogged    bool // a deferral could not be written to the defer log
	damaged     bool // an agent found the content damaged
	unmarked    []record.Entry
	waits       bool  // it goes back to the deferred queue
	over        bool  // end was called by the last delivery
	endErr      error // and returned this
}

// using calls a function of the claim when nobody else does.
func (m *message) using(f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return f()
}

// unread is how many recipients are still in the file only.
func (m *message) unread() int { return m.rest }

// routed is a recipient with its route.
type routed struct {
	recipient record.Entry
	route     Route
}

// assign sorts recipients into entries. What goes to a dead transport or
// destination is deferred at once.
func (s *Scheduler) assign(m *message, list []routed) {
	var lost refused
	touched := map[*destination]struct{}{}
	for _, r := range list {
		t := s.transport(r.route.Transport)
		if m.about.Unthrottle {
			s.unthrottle(t, r)
		}
		if t.dead {
			lost.add(r.recipient, t.status)
			continue
		}
		d := t.destination(r.route.Nexthop, r.recipient.Address)
		if d.dead() {
			lost.add(r.recipient, d.status)
			continue
		}
		if s.stopping {
			m.interrupted = true
			s.forgetRecipients(m, 1)
			continue
		}
		s.addRecipient(m, d, r.recipient)
		touched[d] = struct{}{}
	}
	for d := range touched {
		d.settle()
		s.warnClogged(d)
		s.ready(d.transport)
	}
	for _, j := range m.jobs {
		j.transport.consider(j)
	}
	for i := range lost.groups {
		s.deferRecipients(m, lost.groups[i].recipients, lost.groups[i].status)
	}
}

// unthrottle makes a dead transport or destination work again, since the
// message's file asks for it (postqueue -i).
func (s *Scheduler) unthrottle(t *transport, r routed) {
	if t.dead {
		s.reviveTransport(t)
	}
	if d := t.destination(r.route.Nexthop, r.recipient.Address); d.dead() {
		d.revive(s)
	}
}

// addRecipient puts one recipient into the job, peer and entry it belongs to.
func (s *Scheduler) addRecipient(m *message, d *destination, r record.Entry) {
	t := d.transport
	j := m.jobs[t]
	if j == nil {
		j = &job{message: m, transport: t, peers: map[*destination]*peer{}}
		j.rank = rank{m.arrival, lastStep}
		m.jobs[t] = j
		if m.next != 0 {
			t.joinUnread(j)
		}
	}
	p := j.peers[d]
	if p == nil {
		p = &peer{job: j, dest: d}
		j.peers[d] = p
	}
	limit := t.params.recipientLimit
	if m.about.Info.VERP != "" {
		limit = 1 // each recipient has a sender address of its own
	}
	if p.add(r, limit) {
		j.queued++
		d.queued++
		m.pending++
	}
	j.inCore++
	d.peers.put(p)
	if d.place != 0 {
		t.open.put(d) // its first peer may be another one now
	}
}

// refused groups recipients by the reason why they are not tried.
type refused struct {
	groups []refusal
}

type refusal struct {
	status     mail.Status
	recipients []record.Entry
}

func (r *refused) add(to record.Entry, st mail.Status) {
	for i := range r.groups {
		if g := r.groups[i].status; g.Code == st.Code && g.Reason == st.Reason && g.DiagText == st.DiagText {
			r.groups[i].recipients = append(r.groups[i].recipients, to)
			return
		}
	}
	r.groups = append(r.groups, refusal{st, []record.Entry{to}})
}

// forgetRecipients counts recipients of a message out of memory.
func (s *Scheduler) forgetRecipients(m *message, n int) {
	m.inCore -= n
	s.inCore.Add(-int64(n))
}

// dropEntry takes a waiting entry out of its peer's books; the caller has taken
// it out of the peer's queue.
func (s *Scheduler) dropEntry(e *entry) {
	j := e.peer.job
	j.queued--
	j.inCore -= len(e.recipients)
	e.peer.dest.queued--
	j.message.pending--
}

// deferAll defers everything that waits for a destination.
func (s *Scheduler) deferAll(d *destination, st mail.Status) {
	for d.peers.len() > 0 {
		p := d.peers.top()
		j := p.job
		var list []record.Entry
		for _, e := range p.queue {
			s.dropEntry(e)
			list = append(list, e.recipients...)
		}
		p.queue = nil
		p.leave()
		d.transport.consider(j)
		d.transport.releaseSlots(j)
		s.deferRecipients(j.message, list, st)
	}
	d.settle()
}

// dropWaiting gives up all that waits of a message, untried.
func (s *Scheduler) dropWaiting(m *message) {
	for _, j := range m.jobs {
		for d, p := range j.peers {
			for _, e := range p.queue {
				s.dropEntry(e)
				s.forgetRecipients(m, len(e.recipients))
				m.interrupted = true
			}
			p.queue = nil
			p.leave()
			d.settle()
		}
		j.transport.consider(j)
	}
}

// progress looks what is next for a message after something changed: more
// recipients, the end of jobs, or the end of the attempt. by is the job of which
// something was delivered; nil: none.
func (s *Scheduler) progress(m *message, by *job) {
	if m.next != 0 && !m.loading && !s.stopping {
		s.refill(m, by)
	}
	if m.next != 0 && s.stopping {
		m.interrupted = true
	}
	if m.next == 0 || s.stopping {
		for _, j := range m.jobs {
			if j.inCore == 0 {
				j.retire()
			}
		}
	}
	if m.pending == 0 {
		s.finish(m)
	} else if m.open && m.running == 0 {
		s.resting = append(s.resting, m)
	}
}
