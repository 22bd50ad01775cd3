package schedule

import (
	"errors"
	"slices"
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

// urgency says what a claim may override.
type urgency struct {
	any        bool // a retry time that has not come, and defer_transports
	unthrottle bool // that a transport or destination is dead
	fresh      bool // the message came just now and has never been tried
}

// claimAs begins to make a message active.
func (s *Scheduler) claimAs(c *scan, id mail.QueueID, u urgency) {
	if _, known := s.messages[id]; known {
		return
	}
	s.messages[id] = nil // being claimed
	s.claiming++
	from, scan := c.place, s.deferred.tried.scan
	s.loaders.add(func() {
		m, b := s.open(from, id, u)
		s.post(func() {
			s.claiming--
			if m == nil {
				delete(s.messages, id)
				return
			}
			m.scan = scan
			s.activate(m, b)
		})
	})
}

// open claims a message and reads its first recipients. nil: it is not for us
// now. It runs on a loader.
func (s *Scheduler) open(from queue.Name, id mail.QueueID, u urgency) (*message, batch) {
	claim, err := s.queue.Claim(from, id, queue.ClaimOptions{Any: u.any, Limit: s.params.RecipientMinimum})
	switch {
	case err == nil:
	case errors.Is(err, queue.ErrGone), errors.Is(err, queue.ErrNotReady),
		errors.Is(err, queue.ErrFuture), errors.Is(err, queue.ErrLocked):
		return nil, batch{}
	case errors.Is(err, queue.ErrCorrupt):
		s.log.Warning("%s: saved to the corrupt queue: %s", id, err)
		return nil, batch{}
	default:
		if news, last := s.seldom.News(string(id), s.clock.Elapsed()); news {
			s.log.Warning("%s: cannot take the message from the %s queue: %s", id, from, err)
			if last {
				s.log.Warning("of further messages that cannot be taken nothing is said for a while")
			}
		}
		return nil, batch{}
	}
	m := &message{
		id: id, claim: claim, about: claim.Read(), flush: u.any,
		jobs: map[*transport]*job{}, active: s.clock.Now(), activated: s.clock.Elapsed(),
	}
	m.refilled = m.activated
	m.about.Unthrottle = m.about.Unthrottle || u.unthrottle
	info := m.about.Info
	// A clock that was set back would make the message wait, or age, wrongly.
	if info.Created.After(m.active) {
		info.Created = m.active
	}
	if info.Arrival.After(m.active) {
		info.Arrival = m.active
	}
	s.log.Later("%s: from=<%s>, size=%d, nrcpt=%d (queue active)",
		id, info.Sender.Quoted(), info.ContentSize, info.RecipientCount)
	if m.about.Expire && s.allDeferred(m) {
		// Forced expiry returns what the last attempt said, without another.
		m.deferred = int(info.Unfinished)
		return m, batch{}
	}
	if u.fresh {
		// The door may have recorded aliases that were to be reported.
		m.unrecorded.Store(!s.hasLog(queue.TraceLog, id))
	} else if err := s.queue.RemoveLog(queue.DeferLog, id); err != nil {
		s.log.Warning("%s: remove the old defer log: %s", id, err)
	}
	return m, s.readFirst(m)
}

// allDeferred tells whether the defer log has a result for every recipient that
// is left.
func (s *Scheduler) allDeferred(m *message) bool {
	list, err := s.queue.ReadLog(queue.DeferLog, m.id)
	return err == nil && len(list) > 0 && int64(len(list)) >= m.about.Info.Unfinished
}

// hasLog tells whether a message has a log of the kind. One that cannot be
// looked at counts as there, so that its notice is not forgotten.
func (s *Scheduler) hasLog(kind queue.Name, id mail.QueueID) bool {
	_, err := s.queue.Stat(kind, id)
	return !errors.Is(err, queue.ErrGone)
}

// batch is a window of recipients, resolved.
type batch struct {
	routed   []routed
	read     int // recipients in the window, those already dealt with included
	deferred int // recipients deferred already
	unlogged bool
	unmarked []record.Entry
	marked   bool
	next     record.Position
	reserved int // recipients counted in Scheduler.inCore before reading
	err      error
}

// readFirst takes the recipients that were read with the claim, and, when there
// are more, as many as the limit on recipients in memory leaves.
func (s *Scheduler) readFirst(m *message) batch {
	info := m.about.Info
	list, next := info.Entries, info.Next
	if info.Redirect != "" {
		// A redirected message goes to one address, once.
		return s.resolve(m, batch{reserved: s.reserve(1)}, list[:min(len(list), 1)])
	}
	b := batch{reserved: s.reserve(len(list)), next: next}
	if next != 0 {
		more := int(info.Unfinished) - len(list)
		more = max(0, min(more, s.params.RecipientLimit-int(s.inCore.Load())))
		if more > 0 {
			b.reserved += s.reserve(more)
			entries, next, err := s.entries(m, next, more)
			if b.err = err; err == nil {
				list, b.next = append(slices.Clip(list), entries...), next
			}
		}
	}
	info.Entries = nil // they live in the entries now
	return s.resolve(m, b, list)
}

func (s *Scheduler) reserve(n int) int {
	s.inCore.Add(int64(n))
	return n
}

// readMore reads the next window; the caller has reserved n recipients.
func (s *Scheduler) readMore(m *message, n int) batch {
	b := batch{reserved: n}
	list, next, err := s.entries(m, m.next, n)
	b.next, b.err = next, err
	return s.resolve(m, b, list)
}

func (s *Scheduler) entries(m *message, from record.Position, n int) ([]record.Entry, record.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.claim.Entries(from, n)
}

// resolve finds the route of each recipient. Those that need no delivery, or
// cannot be resolved now, are settled here.
func (s *Scheduler) resolve(m *message, b batch, list []record.Entry) batch {
	b.read = len(list)
	b.routed = make([]routed, 0, len(list))
	for _, r := range list {
		route, st, ok := s.route(m, &r)
		if ok {
			b.routed = append(b.routed, routed{r, route})
			continue
		}
		by := attempt{service: "retry"}
		if st.Action != mail.Deferred {
			by.service = "" // the queue manager's own word
		}
		out := s.settle(m, r, st, by)
		b.deferred += out.deferred
		b.unlogged = b.unlogged || out.unlogged
		b.unmarked = append(b.unmarked, out.unmarked...)
		b.marked = b.marked || out.marked
	}
	return b
}

// route resolves one recipient: redirection and content filter come first
// (header_checks(5), access(5)). When ok is false the status is its result.
func (s *Scheduler) route(m *message, r *record.Entry) (route Route, st mail.Status, ok bool) {
	info := m.about.Info
	if info.Redirect != "" {
		if r.Original == "" {
			r.Original = r.Address
		}
		r.Address = info.Redirect
	}
	if m.about.Expire {
		// It was never tried, as when it was held from the beginning, or not for
		// all: an attempt now would deliver what the administrator will not have.
		return route, none(mail.Defer("4.7.0", "message is administratively expired")), false
	}
	route, err := s.deps.Resolver.Resolve(s.ctx, info.Sender, r.Address)
	if err != nil {
		s.log.Warning("%s: resolve <%s>: %s", m.id, r.Address, err)
		return route, none(mail.Defer("4.3.0", "address resolver failure")), false
	}
	if route.Recipient != "" {
		r.Address = route.Recipient
	}
	if route.Local && s.common.DoubleBounceSender != "" && strings.EqualFold(r.Address.Local(), s.common.DoubleBounceSender) {
		// The answer to an answer to an answer ends here.
		return route, none(mail.Sent("2.0.0", "undeliverable postmaster notification discarded")), false
	}
	if info.Redirect == "" && info.ContentFilter != "" && info.Trace.Delivers() {
		transport, nexthop, _ := strings.Cut(info.ContentFilter, ":")
		if nexthop == "" {
			nexthop = s.params.FilterNexthop
		}
		if nexthop == "" {
			nexthop = r.Address.Domain()
		}
		route.Transport, route.Nexthop = transport, nexthop
	}
	if !m.flush && !m.about.Unthrottle && slices.Contains(s.params.DeferTransports, route.Transport) {
		return route, none(mail.Defer("4.3.2", "deferred transport")), false
	}
	return route, st, true
}

// none says that no relay was involved.
func none(st mail.Status) mail.Status {
	st.Relay = "none"
	return st
}

// activate takes a claimed message into the loop.
func (s *Scheduler) activate(m *message, b batch) {
	s.arrivals++
	m.arrival = s.arrivals
	m.rest = int(max(0, m.about.Info.Unfinished))
	if m.about.Info.Redirect != "" {
		m.rest = b.read
	}
	s.messages[m.id] = m
	m.pending++
	m.loading = true
	s.loaded(m, b)
}

// loaded takes a window of recipients into the loop.
func (s *Scheduler) loaded(m *message, b batch) {
	m.loading = false
	m.pending--
	m.next = b.next
	m.rest = max(0, m.rest-b.read)
	m.refilled = s.clock.Elapsed()
	m.deferred += b.deferred
	m.unlogged = m.unlogged || b.unlogged
	m.unmarked = append(m.unmarked, b.unmarked...)
	m.open = m.open || b.marked
	m.inCore += len(b.routed)
	s.inCore.Add(int64(len(b.routed) - b.reserved))
	if b.err != nil {
		// What is unread stays unfinished in the file: the message is tried
		// again later.
		s.log.Warning("%s: read recipients: %s", m.id, b.err)
		m.next = 0
		m.deferred++
	}
	m.pending++ // not finished before all are assigned
	s.assign(m, b.routed)
	if m.next == 0 {
		m.rest = 0
		for _, j := range m.jobs {
			j.transport.leaveUnread(j)
			j.transport.consider(j)
		}
	}
	m.pending--
	s.progress(m, nil)
}
