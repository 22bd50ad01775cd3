package schedule

import (
	"math/bits"
	"time"
)

// A job may overtake the current one (SCHEDULER_README, "preemptive
// scheduling"): for every slotCost entries that a job delivers it owes one
// delivery slot to smaller jobs. However they nest, the delivery of a message
// takes at most cost/(cost-1) times as long as without overtaking.

// sizeClasses: jobs of up to 16 entries have a class per size, larger ones two
// classes for each doubling.
const sizeClasses = 64

// sizeClass is the index in transport.candidates for jobs of n entries.
func sizeClass(n int) int {
	if n <= 16 {
		return n
	}
	log := bits.Len(uint(n)) - 1 // at least 4
	half := n >> (log - 1) & 1
	return min(17+2*(log-4)+half, sizeClasses-1)
}

// olderFirst orders the jobs of a size class.
func olderFirst(a, b *job) bool { return a.message.arrival < b.message.arrival }

// consider puts the job into the size class it belongs to now, or takes it out
// when nothing of it waits. A parked job parks no more: a search finds out whether
// it has to.
func (t *transport) consider(j *job) {
	j.leaveLots()
	if j.queued == 0 || t.params.slotCost == 0 {
		j.leaveWaits()
		return
	}
	class := &t.candidates[sizeClass(j.size())]
	if *class == nil {
		*class = newWaits()
	}
	if j.waits != *class {
		j.leaveWaits()
		j.waits = *class
		j.waits.put(j)
	}
}

// candidate chooses the job that may overtake current: the one with the
// greatest age per entry among those that need fewer slots than current can
// ever earn. nil: none.
func (t *transport) candidate(current *job, now time.Duration) *job {
	p := &t.params
	if p.slotCost == 0 {
		return nil
	}
	most := (current.selected+current.leastSize())/p.slotCost - current.used
	if most < max(p.minimumSlots, 1) {
		return nil
	}
	if c := t.lastCandidate; c != nil && t.candidateOf == current && now-t.candidateAt < time.Second &&
		c.queued > 0 && c.size() < most && c.selectable() {
		return c
	}
	var best *job
	var bestScore float64
	for class := 1; class <= sizeClass(most); class++ {
		j := t.oldestOfClass(class, current)
		if j == nil || j.size() >= most {
			continue
		}
		score := float64(now-j.message.activated+1) / float64(j.size())
		if best == nil || score > bestScore {
			best, bestScore = j, score
		}
	}
	t.lastCandidate, t.candidateOf, t.candidateAt = best, current, now
	return best
}

// oldestOfClass is the first job of a size class, other than current, that
// could start an entry now. Blocked ones that it meets are parked, so each is
// met once per change of its destinations.
func (t *transport) oldestOfClass(class int, current *job) *job {
	w := t.candidates[class]
	if w == nil {
		return nil
	}
	if current.waits == w {
		w.take(current)
		defer w.put(current)
	}
	for w.len() > 0 {
		j := w.top()
		if j.selectable() {
			return j
		}
		t.park(j)
	}
	return nil
}

// overtake lets the best candidate go before current if current has earned
// enough slots: all but the discount and the loan must be there.
func (t *transport) overtake(current *job, now time.Duration) {
	c := t.candidate(current, now)
	if c == nil {
		return
	}
	p := &t.params
	need := c.size()
	have := current.selected/p.slotCost - current.used
	if (have+p.slotLoan)*100 < need*(100-p.slotDiscount) {
		return
	}
	between, found := current.rank.inFront(current.prev)
	if !found {
		current.spread()
		between, _ = current.rank.inFront(current.prev)
	}
	current.used += need
	c.parent, c.borrowed = current, need
	if c.message.next != 0 {
		t.grantExtra(c)
	}
	t.moveBefore(c, current, between)
	t.lastCandidate, t.candidateOf = nil, nil
}

// moveBefore gives c its new rank, directly in front of current. All
// destinations whose order depends on it leave the heap meanwhile: a heap can
// be mended after one change at a time only.
func (t *transport) moveBefore(c, current *job, to rank) {
	var open []*destination
	for d := range c.peers {
		if d.place != 0 {
			t.open.take(d)
			open = append(open, d)
		}
	}
	c.unlink()
	c.rank = to
	c.link(current)
	for d, p := range c.peers {
		d.peers.put(p)
	}
	for _, d := range open {
		t.open.put(d)
	}
}
