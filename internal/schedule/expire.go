package schedule

import (
	"sync"
	"time"
)

// clockWatch notices when the time of day jumps, by comparing it with the clock
// that does not. A jump forward by years would make the whole queue look
// expired at once, so nothing is returned for a while after one. A jump before
// the start cannot be seen; then what is overdue beyond belief is kept for a
// while (durability R8).
type clockWatch struct {
	mu     sync.Mutex
	now    time.Time
	passed time.Duration
	begun  time.Duration
	jumped bool
	grace  time.Duration // until then, after a jump
}

const (
	leastJump    = 10 * time.Minute    // a smaller difference is an adjustment
	beyondBelief = 30 * 24 * time.Hour // no message waits so long after its end of life
	gracePeriod  = time.Hour           // for the administrator to mend the clock
)

func (w *clockWatch) begin(c Clock) {
	w.now, w.passed = c.Now().Round(0), c.Elapsed()
	w.begun = w.passed
}

// look compares the clocks; by is how far the time of day jumped since the last
// look, or 0.
func (w *clockWatch) look(c Clock) (by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, passed := c.Now().Round(0), c.Elapsed()
	by = now.Sub(w.now) - (passed - w.passed)
	w.now, w.passed = now, passed
	if by > -leastJump && by < leastJump {
		return 0
	}
	w.jumped, w.grace = true, passed+gracePeriod
	return by
}

// doubts tells whether a message that is overdue by so much is better kept.
func (w *clockWatch) doubts(c Clock, over time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	passed := c.Elapsed()
	return w.jumped && passed < w.grace || over > beyondBelief && passed-w.begun < gracePeriod
}

// watchClock logs a jump of the clock.
func (s *Scheduler) watchClock() {
	if by := s.watch.look(s.clock); by != 0 {
		s.log.Warning("the system clock jumped by %s; no mail is returned as expired for %s",
			by.Round(time.Second), gracePeriod)
	}
}

// expired tells whether a message that was deferred has been in the queue for
// too long; the answer is the word for the log, or empty.
func (s *Scheduler) expired(m *message) string {
	if m.about.Expire {
		return "force-expired"
	}
	info := m.about.Info
	lifetime := s.params.QueueLifetime
	if info.Sender == "" {
		lifetime = s.params.BounceLifetime
	}
	over := s.clock.Now().Sub(info.Created) - lifetime
	if over < 0 {
		return ""
	}
	s.watchClock()
	if s.watch.doubts(s.clock, over) {
		s.log.Warning("%s: its lifetime ended %s ago; it is kept, since the system clock may be wrong",
			m.id, over.Round(time.Second))
		return ""
	}
	return "expired"
}
