package schedule

import (
	"slices"
	"time"
)

// arrival is a message of a scenario: when it comes, and to how many recipients.
type arrival struct {
	at   time.Duration
	size int
}

// begun is a delivery of a scenario: of which message, and when it began.
type begun struct {
	message int
	at      time.Duration
}

// scenario is traffic over one transport that takes one recipient at a time, a
// second each. The first message is a mailing, the others are small mail.
type scenario struct {
	places   int       // deliveries at a time
	messages []arrival // by time
	p        Params    // of overtaking
	window   int       // all small mail goes to one destination with so many deliveries at a time; 0: each to its own
	inCore   int       // most recipients in memory; 0: enough
}

const each = time.Second

// modelJob is a message in the model.
type modelJob struct {
	number, left, selected, used int
	came                         time.Duration
}

// model delivers a scenario as SCHEDULER_README and postconf(5) of Postfix describe
// it, with a plain list of jobs: the measure for ours.
type model struct {
	scenario
	list []*modelJob
	next int             // message to come
	free []time.Duration // when each place is free
	busy []time.Duration // when deliveries to the one destination end
}

func (c scenario) model() (list []begun) {
	m := &model{scenario: c, free: make([]time.Duration, c.places)}
	for m.next < len(c.messages) || len(m.list) > 0 {
		slices.Sort(m.free)
		now := m.free[0]
		m.arrive(now)
		j := m.first(now)
		if j == nil {
			m.free[0] = m.event(now)
			continue
		}
		list = append(list, begun{j.number, now})
		j.left--
		j.selected++
		if j.left == 0 {
			m.list = slices.DeleteFunc(m.list, func(o *modelJob) bool { return o == j })
		}
		if m.limited(j) {
			m.busy = append(m.busy, now+each)
		}
		m.free[0] = now + each
	}
	return list
}

// arrive takes what has come into the list.
func (m *model) arrive(now time.Duration) {
	for m.next < len(m.messages) && m.messages[m.next].at <= now {
		a := m.messages[m.next]
		m.list = append(m.list, &modelJob{number: m.next, left: a.size, came: a.at})
		m.next++
	}
}

// event is when something changes for a place that has nothing to do now.
func (m *model) event(now time.Duration) time.Duration {
	next := time.Duration(1<<63 - 1)
	if m.next < len(m.messages) {
		next = m.messages[m.next].at
	}
	for _, at := range m.busy {
		if at > now {
			next = min(next, at)
		}
	}
	return next
}

// limited tells whether a job goes to the one destination.
func (m *model) limited(j *modelJob) bool { return m.window > 0 && j.number > 0 }

// blocked tells whether that has no room.
func (m *model) blocked(j *modelJob, now time.Duration) bool {
	m.busy = slices.DeleteFunc(m.busy, func(at time.Duration) bool { return at <= now })
	return m.limited(j) && len(m.busy) >= m.window
}

// first is the first job that is not blocked, after the best candidate had its chance
// to go before it.
func (m *model) first(now time.Duration) *modelJob {
	at := slices.IndexFunc(m.list, func(j *modelJob) bool { return !m.blocked(j, now) })
	if at < 0 {
		return nil
	}
	current := m.list[at]
	if best := m.candidate(current, now); best != nil {
		current.used += best.left
		m.list = slices.DeleteFunc(m.list, func(j *modelJob) bool { return j == best })
		m.list = slices.Insert(m.list, slices.Index(m.list, current), best)
		return best
	}
	return current
}

// candidate is the job that may preempt current now; nil: none.
func (m *model) candidate(current *modelJob, now time.Duration) *modelJob {
	if m.p.SlotCost == 0 {
		return nil
	}
	earned := current.selected - current.used*m.p.SlotCost // in parts of a slot
	most := (current.selected+current.left)/m.p.SlotCost - current.used
	// "The full amount will still have to be accumulated before another preemption."
	if earned <= 0 || most < m.p.MinimumSlots {
		return nil
	}
	var best *modelJob
	var score float64
	for _, j := range m.list {
		if j == current || j.left >= most || m.blocked(j, now) {
			continue
		}
		if age := float64(now-j.came+1) / float64(j.left); best == nil || age > score {
			best, score = j, age
		}
	}
	if best == nil || float64(earned/m.p.SlotCost+m.p.SlotLoan) < float64(best.left)*float64(100-m.p.SlotDiscount)/100 {
		return nil
	}
	return best
}
