package schedule

// A message that does not fit into memory is read piece by piece: the next one when
// nothing is left in memory, when <transport>_recipient_refill_limit recipients have
// room, or when some have had room for <transport>_recipient_refill_delay. Those
// transports count for which the message goes on: it has entries that wait to be
// chosen, or one that has just ended. (Postfix looks when it is about to choose one.)

// refill reads more recipients of a message if it is time to. by is the job of
// which a delivery has just ended; nil: none.
func (s *Scheduler) refill(m *message, by *job) {
	// What every message may have comes on top of the slots of its jobs.
	room := m.slots + s.params.RecipientMinimum - m.inCore
	now := m.inCore == 0
	if !now && room > 0 {
		anybody := by == nil && !m.waiting()
		for _, j := range m.jobs {
			if j == by || j.queued > 0 || anybody {
				now = s.wantsMore(j, room) || now
			}
		}
	}
	if !now {
		return
	}
	m.loading = true
	m.pending++
	s.inCore.Add(int64(room))
	s.loaders.add(func() {
		b := s.readMore(m, room)
		s.post(func() { s.loaded(m, b) })
	})
}

// waiting tells whether entries of the message wait to be chosen.
func (m *message) waiting() bool {
	for _, j := range m.jobs {
		if j.queued > 0 {
			return true
		}
	}
	return false
}

// wantsMore tells whether a job's transport wants its message to be read on, now
// that there is room. If not, it is asked again when its delay has passed: all that is
// in memory may wait for a slow peer until then, and nothing else happens.
func (s *Scheduler) wantsMore(j *job, room int) bool {
	p, m := &j.transport.params, j.message
	wait := p.refillDelay - (s.clock.Elapsed() - m.refilled)
	if room >= p.refillLimit || wait <= 0 {
		return true
	}
	if !j.asksAgain {
		j.asksAgain = true
		s.after(wait, func() {
			j.asksAgain = false
			if !j.retired && m.next != 0 && !m.loading && !s.stopping && (j.queued > 0 || !m.waiting()) {
				s.refill(m, j)
			}
		})
	}
	return false
}
