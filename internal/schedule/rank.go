package schedule

// rank is a job's place in the order of its transport. arrival counts messages
// as they were activated; a job that overtakes another takes a place directly
// in front of it: the same arrival and a smaller step.
type rank struct {
	arrival uint64
	step    uint64
}

// lastStep is the step of a job that overtook nobody.
const lastStep = 1 << 63

func (r rank) before(o rank) bool {
	if r.arrival != o.arrival {
		return r.arrival < o.arrival
	}
	return r.step < o.step
}

// inFront returns the rank halfway between prev, the job that comes before r
// among those in front of the same message (nil: none), and r. found is false when
// there is no room left: each job takes half of it, see spread.
func (r rank) inFront(prev *job) (between rank, found bool) {
	low := uint64(0)
	if prev != nil {
		low = prev.rank.step
	}
	step := low + (r.step-low)/2
	return rank{r.arrival, step}, step != low && step != r.step
}
