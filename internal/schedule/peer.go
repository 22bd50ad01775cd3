package schedule

import "posthaste/internal/queue/record"

// peer is what one job has for one destination: entries in the order of their
// recipients in the message.
type peer struct {
	job   *job
	dest  *destination
	queue []*entry
	turn  uint64 // when it was last chosen: round robin among the peers of a job
	place int    // in dest.peers

	lot      *lot // where it is parked; nil: nowhere
	lotPlace int
}

// before tells whether a goes first: by the order of the jobs, and within a job
// round robin by destination.
func (p *peer) before(o *peer) bool {
	if p.job.rank != o.job.rank {
		return p.job.rank.before(o.job.rank)
	}
	return p.turn < o.turn
}

// add puts a recipient into the last entry, or, when that has limit recipients
// (0: no limit), into a new one; it tells whether a new one was made.
func (p *peer) add(r record.Entry, limit int) (fresh bool) {
	if n := len(p.queue); n > 0 {
		if e := p.queue[n-1]; limit == 0 || len(e.recipients) < limit {
			e.recipients = append(e.recipients, r)
			return false
		}
	}
	p.queue = append(p.queue, &entry{peer: p, nexthop: p.dest.nexthop, recipients: []record.Entry{r}})
	return true
}

// next takes the first entry.
func (p *peer) next() *entry {
	e := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	return e
}
