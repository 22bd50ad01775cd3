package schedule

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// feedback is how much one delivery moves the concurrency of its destination:
// amount, amount/N or amount/√N, where N is the concurrency.
type feedback struct {
	amount float64
	per    divisor
}

// divisor is what a feedback amount is divided by.
type divisor uint8

const (
	perDelivery   divisor = iota
	perCohort             // N
	perRootCohort         // √N
)

// parseFeedback reads `number`, `number / number`, `number / concurrency` or
// `number / sqrt_concurrency` (postconf(5)); the amount must lie in 0..1.
func parseFeedback(s string) (feedback, error) {
	above, below, fraction := strings.Cut(s, "/")
	amount, err := strconv.ParseFloat(strings.TrimSpace(above), 64)
	if err != nil {
		return feedback{}, fmt.Errorf("bad concurrency feedback %q: want a number, number / concurrency or number / sqrt_concurrency", s)
	}
	f := feedback{amount: amount}
	switch below = strings.TrimSpace(below); {
	case !fraction:
	case below == "concurrency":
		f.per = perCohort
	case below == "sqrt_concurrency":
		f.per = perRootCohort
	default:
		n, err := strconv.ParseFloat(below, 64)
		if err != nil || n == 0 {
			return feedback{}, fmt.Errorf("bad concurrency feedback %q: cannot divide by %q", s, below)
		}
		f.amount /= n
	}
	if !(f.amount >= 0 && f.amount <= 1) {
		return feedback{}, fmt.Errorf("bad concurrency feedback %q: want a value from 0 to 1", s)
	}
	return f, nil
}

// at is the feedback of one delivery at concurrency n.
func (f feedback) at(n int) float64 {
	switch f.per {
	case perCohort:
		return f.amount / float64(n)
	case perRootCohort:
		return f.amount / math.Sqrt(float64(n))
	}
	return f.amount
}

// rounding keeps sums such as ten times 0.1 from missing a whole step.
const rounding = 1e-6

// window is the concurrency control of one destination (SCHEDULER_README,
// "concurrency scheduling"): how many deliveries may run at a time, and the
// partial steps towards the next larger or smaller number. size 0 means dead.
type window struct {
	size          int
	success       float64 // sum of positive feedback since the last step up
	failure       float64 // rest of the current cycle of negative feedback
	failedCohorts float64 // fraction of a full round that failed in a row
}

// succeeded counts a delivery without connection or handshake failure. busy is
// the number of running deliveries, this one included.
func (w *window) succeeded(busy int, p *transportParams) {
	w.failedCohorts = 0
	if w.size == 0 {
		w.size = p.initialConcurrency
		return
	}
	// A window much larger than its use would delay the effect of failures.
	if w.size >= busy+p.initialConcurrency {
		return
	}
	limit := p.concurrencyLimit
	if limit > 0 && w.size >= limit {
		return
	}
	w.success += p.positive.at(w.size)
	for w.success+rounding >= 1 {
		w.size++
		w.success--
		w.failure = 0
	}
	if limit > 0 && w.size > limit {
		w.size = limit
	}
}

// failed counts a connection or handshake failure, and tells whether the
// destination is now dead. A cohort limit of 0 means that it never is. Where
// SCHEDULER_README and postconf(5) differ from each other, this does as Postfix's
// queue manager does.
func (w *window) failed(p *transportParams) (dead bool) {
	if w.size > 0 {
		w.failedCohorts += 1 / float64(w.size)
		if p.cohortLimit > 0 && w.failedCohorts+rounding >= float64(p.cohortLimit) {
			w.size = 0
		}
	}
	if w.size == 0 {
		return true
	}
	// The cycle is reversed: the step down comes at its start, so that a
	// correction for overload is not late. It starts when half of a feedback is
	// missing: after the first of a row of failures with feedback 1 there are two steps.
	amount := p.negative.at(w.size)
	w.failure -= amount
	for w.failure-amount/2 < 0 {
		w.size--
		w.failure++
		w.success = 0
	}
	w.size = max(w.size, 1)
	return false
}
