package schedule

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

// attempt is when and by whom a recipient was tried. The zero started means
// that no agent was asked.
type attempt struct {
	service string
	started time.Time
	last    bool // the message is removed if this recipient is done, see entry.only
}

// outcome sums up results for the loop.
type outcome struct {
	deferred int
	unlogged bool           // a deferral is missing in the defer log
	unmarked []record.Entry // done, but not marked so in the file
	marked   bool           // something was marked in the file, or should have been
}

func (o *outcome) add(p outcome) {
	o.deferred += p.deferred
	o.unlogged = o.unlogged || p.unlogged
	o.unmarked = append(o.unmarked, p.unmarked...)
	o.marked = o.marked || p.marked
}

// settled is the result for a recipient, or for one that it stood for, as it
// is recorded.
type settled struct {
	to   mail.Recipient
	st   mail.Status
	word string // behind status= in the log
	by   string // service
	mute bool   // for notices only
}

// results takes a status apart. An address probe has one result.
func (s *Scheduler) results(m *message, r record.Entry, st mail.Status) []settled {
	var list []settled
	for _, p := range st.Parts {
		p.Status.Setup, p.Status.Transmit = st.Setup, st.Transmit
		list = append(list, settled{p.Recipient, p.Status, p.Status.Action.LogName(), p.Service, p.Unlogged})
	}
	if len(list) == 0 || m.about.Info.Trace&mail.TraceProbe != 0 {
		st.Parts = nil
		list = []settled{{r.Recipient, st, st.Action.LogName(), "", false}}
	}
	for i := range list {
		if x := &list[i]; x.st.Action == mail.Bounced && s.common.SoftBounce && m.about.Info.Trace.Delivers() {
			x.st.Action, x.word = mail.Deferred, "SOFTBOUNCE"
			x.st.Code = "4" + strings.TrimPrefix(x.st.Code, "5")
		}
	}
	return list
}

// settle records the result of one recipient: first its notice's log, then the
// line in the operator's log, then the mark in the queue file. A crash in
// between repeats the attempt and logs it again: each result has at least one
// line, while a mark without a line would leave the operator in the dark. It
// runs on a goroutine other than the loop.
func (s *Scheduler) settle(m *message, r record.Entry, st mail.Status, a attempt) outcome {
	list := s.results(m, r, st)
	waits := func(x settled) bool { return x.st.Action == mail.Deferred }
	// What waits is tried again as a whole, and notices are made when it is done:
	// one for all attempts.
	final := !slices.ContainsFunc(list, waits) || !m.about.Info.Trace.Delivers()
	for i := range list {
		if final && s.record(m, r, &list[i]) {
			a.last = false
		}
	}
	for _, x := range list {
		if !x.mute {
			s.deps.Log.Delivery(cmp.Or(x.by, a.service), m.id, x.to, x.word, x.st, s.delays(m, x.st, a))
		}
	}
	var out outcome
	if slices.ContainsFunc(list, waits) {
		out = s.postpone(m, r, list)
	} else if a.last {
		out.unmarked = []record.Entry{r}
	} else if err := s.mark(m, r); err != nil {
		if !errors.Is(err, queue.ErrGone) { // the administrator deleted it
			s.log.Warning("%s: mark <%s> as done: %s", m.id, r.Address, err)
		}
		out.unmarked, out.marked = []record.Entry{r}, true
	} else {
		out.marked = true
	}
	return out
}

// appendLog records a result from which a notice will be made.
func (s *Scheduler) appendLog(kind queue.Name, m *message, e queue.LogEntry) error {
	m.unrecorded.Store(false)
	return s.queue.AppendLog(kind, m.id, e)
}

// record writes a final result to the log of a notice, and tells whether there
// is one now.
func (s *Scheduler) record(m *message, r record.Entry, x *settled) bool {
	entry := queue.LogEntry{Recipient: x.to, Offset: r.Offset, Status: x.st}
	switch {
	case !m.about.Info.Trace.Delivers():
		// A probe or sendmail -bv is tried once, and every result is reported.
		x.st, x.word = asReport(x.st)
		entry.Status = x.st
		entry.Status.Reason = via(x.st)
		if err := s.report(m, entry); err != nil {
			s.log.Warning("%s: report on <%s>: %s", m.id, x.to.Address, err)
		}
		return true
	case x.st.Action == mail.Bounced:
		if err := s.appendLog(queue.BounceLog, m, entry); err != nil {
			// Without a record there would be no notice: try again later.
			s.log.Warning("%s: bounce log: %s", m.id, err)
			x.st = mail.Defer("4.3.0", "bounce service failure")
			x.word = x.st.Action.LogName()
			return false
		}
		s.trace(m, entry)
		return true
	case s.traced(m, x.to, x.st):
		entry.Status.Reason = via(x.st)
		if err := s.appendLog(queue.TraceLog, m, entry); err != nil {
			s.log.Warning("%s: trace log: %s", m.id, err)
		}
		return true
	}
	return false
}

// postpone records why a recipient waits, and what failed for good beside it:
// if it waits for too long, the sender hears of both.
func (s *Scheduler) postpone(m *message, r record.Entry, list []settled) outcome {
	out := outcome{deferred: 1}
	for _, x := range list {
		if x.st.Action != mail.Deferred && x.st.Action != mail.Bounced {
			continue
		}
		entry := queue.LogEntry{Recipient: x.to, Offset: r.Offset, Status: x.st}
		if x.st.Action == mail.Deferred {
			if s.deps.Deferred != nil {
				s.deps.Deferred(m.id, x.to.Address)
			}
			s.trace(m, entry)
		}
		if err := s.queue.AppendLog(queue.DeferLog, m.id, entry); err != nil {
			s.log.Warning("%s: defer log: %s", m.id, err)
			out.unlogged = true
		}
	}
	return out
}

func (s *Scheduler) mark(m *message, r record.Entry) error {
	return m.using(func() error { return m.claim.MarkDone(r) })
}

// trace records a failure for the report of sendmail -v, which tells of all
// results.
func (s *Scheduler) trace(m *message, e queue.LogEntry) {
	if m.about.Info.Trace&mail.TraceRecord == 0 {
		return
	}
	e.Status.Reason = via(e.Status)
	if err := s.appendLog(queue.TraceLog, m, e); err != nil {
		s.log.Warning("%s: trace log: %s", m.id, err)
	}
}

// traced tells whether the success of a recipient is recorded for a notice.
func (s *Scheduler) traced(m *message, to mail.Recipient, st mail.Status) bool {
	return m.about.Info.Trace&mail.TraceRecord != 0 || s.clears(m) ||
		to.Notify&mail.NotifySuccess != 0 && st.Action != mail.Passed
}

// via is the reason as a report on delivery shows it: with who delivered, or
// tried to.
func via(st mail.Status) string {
	if st.Relay == "" || st.Relay == "none" {
		return st.Reason
	}
	return "delivery via " + st.Relay + ": " + st.Reason
}

// clears tells whether the sender, who was told of a delay, is to hear of its
// end.
func (s *Scheduler) clears(m *message) bool {
	return m.about.Info.Warned && s.params.ConfirmDelayCleared
}

// asReport turns a result into that of a probe.
func asReport(st mail.Status) (mail.Status, string) {
	if st.Action == mail.Bounced || st.Action == mail.Deferred {
		st.Action = mail.Undeliverable
	} else if st.Action != mail.Undeliverable {
		st.Action = mail.Deliverable
	}
	return st, st.Action.LogName()
}

// report hands on the result of a probe, or records that of sendmail -bv.
func (s *Scheduler) report(m *message, e queue.LogEntry) error {
	if m.about.Info.Trace&mail.TraceProbe == 0 {
		return s.appendLog(queue.TraceLog, m, e)
	}
	n := s.notice(m, NoticeProbe, "")
	n.Results = []queue.LogEntry{e}
	return s.deps.Notices.Notify(s.ctx, n)
}

// delays are the times for the log.
func (s *Scheduler) delays(m *message, st mail.Status, a attempt) maillog.Delays {
	now := s.clock.Now()
	since := func(from, to time.Time) time.Duration { return max(0, to.Sub(from)) }
	arrival := m.about.Info.Arrival
	d := maillog.Delays{Total: since(arrival, now), Before: since(arrival, m.active), Setup: st.Setup, Transmit: st.Transmit}
	if a.started.IsZero() {
		d.Queued = since(m.active, now)
		return d
	}
	d.Queued = since(m.active, a.started)
	if st.Setup == 0 && st.Transmit == 0 {
		d.Transmit = since(a.started, now) // the agent did not measure
	}
	return d
}

// deferRecipients defers recipients that no agent was asked for.
func (s *Scheduler) deferRecipients(m *message, list []record.Entry, st mail.Status) {
	if len(list) == 0 {
		return
	}
	st = none(st)
	m.pending++
	s.enders.add(func() {
		var out outcome
		for _, r := range list {
			out.add(s.settle(m, r, st, attempt{service: "retry"}))
		}
		s.post(func() {
			m.pending--
			s.forgetRecipients(m, len(list))
			s.account(m, nil, out)
		})
	})
}

// account takes results into the books of the message. by is the job that had an
// agent asked for them; nil: none.
func (s *Scheduler) account(m *message, by *job, out outcome) {
	m.deferred += out.deferred
	m.unlogged = m.unlogged || out.unlogged
	m.unmarked = append(m.unmarked, out.unmarked...)
	m.open = m.open || out.marked
	s.progress(m, by)
}
