package schedule

import (
	"errors"
	"io"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

// finish ends the attempt of a message of which nothing is left to do: notices
// are sent, then it is removed, deferred, or put back. The disk's part is done
// on an ender.
func (s *Scheduler) finish(m *message) {
	m.open = false // the end of the claim gives everything back
	if m.over {
		s.finished(m, m.endErr)
		return
	}
	m.pending = 1 // this work
	s.enders.add(func() {
		err := s.end(m)
		s.post(func() { s.finished(m, err) })
	})
}

// finished forgets a message whose attempt has ended.
func (s *Scheduler) finished(m *message, err error) {
	if err != nil && !errors.Is(err, queue.ErrGone) {
		s.strand(m.id, err)
	}
	if m.waits {
		s.deferred.tried.add(m.id, m.scan)
	}
	delete(s.messages, m.id)
}

// end ends the attempt. Of a message that the administrator deleted meanwhile
// nothing stays, also not what was recorded after that.
func (s *Scheduler) end(m *message) error {
	err := s.conclude(m)
	if errors.Is(err, queue.ErrGone) && s.isGone(m.id) {
		for _, log := range queue.Logs {
			if err := s.queue.RemoveLog(log, m.id); err != nil {
				s.log.Warning("%s: remove the %s log of a deleted message: %s", m.id, log, err)
			}
		}
	}
	return err
}

// isGone tells whether a message lies in no queue. It is looked for twice: a move
// can hide it once.
func (s *Scheduler) isGone(id mail.QueueID) bool {
	for range 2 {
		for _, n := range queue.Names {
			if _, err := s.queue.Stat(n, id); !errors.Is(err, queue.ErrGone) {
				return false
			}
		}
	}
	return true
}

// conclude decides how the attempt ends, and does it.
func (s *Scheduler) conclude(m *message) error {
	if m.interrupted {
		s.markRest(m)
		err := m.using(m.claim.Release)
		if err == nil {
			s.deps.Untaken(m.id)
		}
		return err
	}
	if !s.sendRecorded(m) {
		return s.retry(m)
	}
	if m.damaged && m.deferred > 0 {
		if err := s.readThrough(m); errors.Is(err, record.ErrDamaged) {
			s.markRest(m)
			s.log.Warning("%s: saved to the corrupt queue: %s", m.id, m.using(func() error { return m.claim.SetAside(err) }))
			return nil
		}
	}
	if m.deferred > 0 {
		why := s.expired(m)
		if why == "" || m.unlogged {
			// A notice made from an incomplete log would forget somebody.
			s.warnDelay(m)
			return s.retry(m)
		}
		s.log.Info("%s: from=<%s>, status=%s, returned to sender", m.id, m.about.Info.Sender.Quoted(), why)
		if !s.notify(m, NoticeExpired, queue.DeferLog) {
			return s.retry(m)
		}
	}
	if err := m.using(m.claim.Remove); err != nil {
		// Deleted, put on hold meanwhile, or left over by a disk that refuses: it
		// must not be delivered again.
		s.markRest(m)
		m.using(func() error { m.claim.Close(); return nil })
		return err
	}
	s.log.Info("%s: removed", m.id)
	return nil
}

// readThrough reads the content to its end, to see whether it is really damaged
// or a single read went wrong (durability R5).
func (s *Scheduler) readThrough(m *message) error {
	lines := m.about.Info.Content.Lines()
	defer lines.Close()
	for {
		if _, _, err := lines.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// sendRecorded sends the notices for which recipients are recorded, from this
// attempt or from one that a crash cut short. false: not all could be sent.
func (s *Scheduler) sendRecorded(m *message) bool {
	if m.unrecorded.Load() {
		return true
	}
	ok := true
	if s.hasLog(queue.BounceLog, m.id) {
		ok = s.notify(m, NoticeBounce, queue.BounceLog)
	}
	if s.hasLog(queue.TraceLog, m.id) {
		kind := NoticeTrace
		switch {
		case !m.about.Info.Trace.Delivers():
			kind = NoticeVerify
		case s.clears(m):
			kind = NoticeDelayCleared
		}
		if s.notify(m, kind, queue.TraceLog) {
			s.setReported(m)
		} else {
			ok = false
		}
	}
	return ok
}

// setReported ends what sendmail -v asked for: a report of the first attempt.
func (s *Scheduler) setReported(m *message) {
	if m.about.Info.Trace&mail.TraceRecord == 0 || m.deferred == 0 {
		return // nothing was asked for, or the message goes now
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.claim.SetReported(); err != nil {
		s.log.Warning("%s: note the delivery report: %s", m.id, err)
	}
}

// notify sends one notice and removes the log it was made from; a defer log
// stays while the message does, for the queue listing.
func (s *Scheduler) notify(m *message, kind NoticeKind, log queue.Name) bool {
	if err := s.deps.Notices.Notify(s.ctx, s.notice(m, kind, log)); err != nil {
		s.log.Warning("%s: sender notification: %s", m.id, err)
		return false
	}
	if kind == NoticeDelay {
		return true
	}
	if err := s.queue.RemoveLog(log, m.id); err != nil {
		s.log.Warning("%s: remove the %s log: %s", m.id, log, err)
	}
	return true
}

func (s *Scheduler) notice(m *message, kind NoticeKind, log queue.Name) Notice {
	info := m.about.Info
	return Notice{
		Kind: kind, ID: m.id, Envelope: info.Envelope,
		Size: info.ContentSize, Content: info.Content, Log: log,
	}
}

// markRest marks recipients that are done but are not marked, because the
// message was going to be removed or because the disk refused.
func (s *Scheduler) markRest(m *message) {
	for _, r := range m.unmarked {
		if err := s.mark(m, r); err != nil && !errors.Is(err, queue.ErrGone) {
			s.log.Warning("%s: mark <%s> as done: %s", m.id, r.Address, err)
		}
	}
}

// retry puts the message into deferred until its next attempt.
func (s *Scheduler) retry(m *message) error {
	s.markRest(m)
	m.waits = true
	return m.using(func() error { return m.claim.Defer(s.nextAttempt(m)) })
}

// nextAttempt doubles the time between attempts: the wait is the message's age,
// within the limits of the back-off times.
func (s *Scheduler) nextAttempt(m *message) time.Time {
	now := s.clock.Now()
	wait := now.Sub(m.about.Info.Created)
	wait = min(max(wait, s.params.MinimalBackoff), max(s.params.MaximalBackoff, s.params.MinimalBackoff))
	return now.Add(wait)
}

// warnDelay tells the sender once that the message is late.
func (s *Scheduler) warnDelay(m *message) {
	info := m.about.Info
	if info.Warned || info.WarnAt.IsZero() || s.clock.Now().Before(info.WarnAt) {
		return
	}
	if !s.notify(m, NoticeDelay, queue.DeferLog) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.claim.SetWarned(); err != nil {
		s.log.Warning("%s: note the delay warning: %s", m.id, err)
	}
}

// strand handles a message whose file could not be moved or removed: it lies in
// active, unclaimed. It is moved to deferred as soon as that works.
func (s *Scheduler) strand(id mail.QueueID, err error) {
	s.log.Warning("%s: end of delivery attempt: %s", id, err)
	if s.stopping {
		return // the next start finds it
	}
	s.after(s.params.TransportRetry, func() {
		s.enders.add(func() {
			err := s.queue.Move(id, queue.Active, queue.Deferred)
			if err != nil && !errors.Is(err, queue.ErrGone) {
				s.post(func() { s.strand(id, err) })
			}
		})
	})
}
