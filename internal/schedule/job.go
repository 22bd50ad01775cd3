package schedule

// job is what one message has for one transport.
type job struct {
	message   *message
	transport *transport
	rank      rank
	peers     map[*destination]*peer // those with queued entries

	queued int // entries waiting
	inCore int // recipients waiting or being delivered

	// Overtaking (preempt.go). Every slotCost entries selected earn one slot.
	selected   int    // entries chosen so far
	used       int    // slots spent on jobs that overtook this one
	borrowed   int    // slots of parent that this job got, less the entries it chose since
	parent     *job   // the job it overtook; nil: none
	prev, next *job   // neighbours among jobs with the same rank.arrival
	waits      *waits // where it is considered for overtaking
	waitsPlace int
	parked     bool // some peers are in lots of their destinations (park.go)

	// Recipient slots (slots.go).
	slots       int
	unreadPlace int
	retired     bool
	asksAgain   bool // a timer runs, refill.go
}

// waits is a set of jobs of about the same size that may overtake.
type waits struct{ heap[*job] }

func newWaits() *waits {
	return &waits{heap[*job]{less: olderFirst, place: func(j *job) *int { return &j.waitsPlace }}}
}

// leaveWaits takes the job out of the set it is in.
func (j *job) leaveWaits() {
	if j.waits != nil {
		j.waits.take(j)
		j.waits = nil
	}
}

// size is the most entries that the job still needs: unread recipients count as
// one entry each.
func (j *job) size() int { return j.queued + j.message.unread() }

// leastSize is the fewest entries that the job still needs: unread recipients
// may all go elsewhere.
func (j *job) leastSize() int { return j.queued }

// selectable tells whether some entry could start now, as far as the
// destinations are concerned.
func (j *job) selectable() bool {
	for d := range j.peers {
		if d.place != 0 {
			return true
		}
	}
	return false
}

// link puts the job in front of next among jobs of the same rank.arrival.
func (j *job) link(next *job) {
	j.prev, j.next = next.prev, next
	if j.prev != nil {
		j.prev.next = j
	}
	next.prev = j
}

// unlink takes it out again.
func (j *job) unlink() {
	if j.prev != nil {
		j.prev.next = j.next
	}
	if j.next != nil {
		j.next.prev = j.prev
	}
	j.prev, j.next = nil, nil
}

// spread gives the jobs of the same rank.arrival ranks in the same order with as
// much room between them as there is. No heap needs to know.
func (j *job) spread() {
	first, n := j, uint64(1)
	for ; first.prev != nil; n++ {
		first = first.prev
	}
	for k := j.next; k != nil; k = k.next {
		n++
	}
	room := lastStep / n
	for k, step := first, room; k != nil; k, step = k.next, step+room {
		k.rank.step = step
	}
}

// liveParent is the nearest job it overtook, directly or not, that still lives.
func (j *job) liveParent() *job {
	for j.parent != nil && j.parent.retired {
		j.parent = j.parent.parent
	}
	return j.parent
}

// retire ends the job: slots that it did not use go back to where it had them
// from.
func (j *job) retire() {
	t := j.transport
	if p := j.liveParent(); p != nil && j.borrowed > 0 {
		p.used -= j.borrowed
	}
	j.retired = true
	j.leaveWaits()
	j.leaveLots()
	j.unlink()
	t.unread.take(j)
	t.takeSlots(j, j.slots)
	delete(j.message.jobs, t)
	if t.lastCandidate == j {
		t.lastCandidate, t.candidateOf = nil, nil
	}
}
