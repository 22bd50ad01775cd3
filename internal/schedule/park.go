package schedule

// A job all of whose destinations are busy is no candidate for overtaking. It
// parks at its destinations until one of them has room, so that a search for a
// candidate does not meet it again and again. Of the jobs of a size class that are
// parked at a destination with room the oldest is a candidate: none of the others
// could go before it.

// mostLots is at how many destinations a job parks.
const mostLots = 16

// lot holds the jobs of one size class that are parked at a destination.
type lot struct {
	heap[*peer]
	class int
	first *job // the last that was taken out to be a candidate
}

func newLot(class int) *lot {
	return &lot{class: class, heap: heap[*peer]{
		less:  func(a, b *peer) bool { return olderFirst(a.job, b.job) },
		place: func(p *peer) *int { return &p.lotPlace },
	}}
}

// lot finds or makes the lot of a size class.
func (d *destination) lot(class int) *lot {
	for _, l := range d.lots {
		if l.class == class {
			return l
		}
	}
	l := newLot(class)
	d.lots = append(d.lots, l)
	return l
}

// park makes a job whose destinations are all busy wait at them.
func (t *transport) park(j *job) {
	j.leaveWaits()
	class := sizeClass(j.size())
	n := 0
	for d, p := range j.peers {
		p.lot = d.lot(class)
		p.lot.put(p)
		j.parked = true
		if n++; n == mostLots {
			break
		}
	}
}

// leaveLots ends the parking of a job.
func (j *job) leaveLots() {
	if !j.parked {
		return
	}
	j.parked = false
	for _, p := range j.peers {
		p.leaveLot()
	}
}

func (p *peer) leaveLot() {
	if p.lot != nil {
		p.lot.take(p)
		p.lot = nil
	}
}

// unpark makes the first job of each lot of a destination with room a candidate,
// if the one before it is none any more.
func (t *transport) unpark(d *destination) {
	kept := d.lots[:0]
	for _, l := range d.lots {
		if l.first != nil && !l.stands(d, l.first) {
			l.first = nil
		}
		for l.len() > 0 && (l.first == nil || olderFirst(l.top().job, l.first)) {
			j := l.top().job
			t.consider(j)
			if l.stands(d, j) {
				l.first = j
			}
		}
		if l.first != nil {
			kept = append(kept, l)
		}
	}
	clear(d.lots[len(kept):])
	d.lots = kept
}

// stands tells whether a job that was taken out of a lot is still the candidate for
// those that are in it. One that has begun is not, since it may be the current job.
func (l *lot) stands(d *destination, j *job) bool {
	return j.waits == d.transport.candidates[l.class] && j.peers[d] != nil && j.selected == 0
}

// begins is called when the first entry of a job is chosen.
func (t *transport) begins(j *job) {
	for d := range j.peers {
		if d.place != 0 && len(d.lots) > 0 {
			t.unpark(d)
		}
	}
}

// leave takes a peer of which nothing waits any more out of everything.
func (p *peer) leave() {
	p.leaveLot()
	p.dest.peers.take(p)
	delete(p.job.peers, p.dest)
}
