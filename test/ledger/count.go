package ledger

import (
	"fmt"
	"slices"
	"time"
)

// Counters are the result of a run. The first group must be 0.
type Counters struct {
	Loss           int `json:"loss"`            // acknowledged, and nowhere
	Phantom        int `json:"phantom"`         // refused, or broken off before the dot, and yet delivered
	DupUnexplained int `json:"dup_unexplained"` // repeated, though not on its way at a kill
	Garbled        int `json:"garbled"`
	Misrouted      int `json:"misrouted"`
	FalseBounce    int `json:"false_bounce"` // a notice of failure, where nothing but faults failed
	Stuck          int `json:"stuck"`        // still queued at the end
	LogMissing     int `json:"log_missing"`  // acknowledged, finished, and no final line in the log
	LogExtra       int `json:"log_extra"`    // more final lines than deliveries

	Messages   int            `json:"messages"`
	Recipients int            `json:"recipients"`
	Acked      int            `json:"acked"`   // pairs, as all below
	Refused    int            `json:"refused"` // by a 4xx or 5xx
	Unknown    int            `json:"unknown"` // broken off after the dot
	UnknownIn  int            `json:"unknown_delivered"`
	Delivered  int            `json:"delivered"`
	DupAt      map[string]int `json:"dup_at"`   // Dup by what was killed then
	Dup        int            `json:"dup"`      // repeated, all of them
	Corrupt    int            `json:"corrupt"`  // acknowledged, and only in the corrupt queue
	ConnLost   map[Phase]int  `json:"connlost"` // sessions
	Refusals   map[string]int `json:"refusals"` // replies of 4xx and 5xx
	Findings   []string       `json:"findings,omitempty"`
}

// Bad tells whether a counter that must be 0 is not.
func (c *Counters) Bad() bool {
	return c.Loss+c.Phantom+c.DupUnexplained+c.Garbled+c.Misrouted+c.FalseBounce+c.Stuck+c.LogMissing+c.LogExtra > 0
}

// maxFindings is how many faults are told in words.
const maxFindings = 20

func (c *Counters) find(counter *int, format string, args ...any) {
	*counter++
	if len(c.Findings) < maxFindings {
		c.Findings = append(c.Findings, fmt.Sprintf(format, args...))
	}
}

// Count judges the books. withLog: the mail log was read with Final. slack is
// how long it may take from the sink's 250 to the mark in the queue on a busy
// machine: a kill within that time may repeat the delivery.
func (l *Ledger) Count(withLog bool, slack time.Duration) Counters {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := Counters{Messages: len(l.messages), ConnLost: l.lost, Refusals: l.refusals, DupAt: map[string]int{}}
	for _, g := range l.garbled {
		c.find(&c.Garbled, "GARBLED %s", g)
	}
	for _, a := range l.astray {
		c.find(&c.Misrouted, "MISROUTED %s", a)
	}
	for _, e := range l.messages {
		for r, p := range e.pairs {
			c.Recipients++
			l.pair(&c, e, r, p, slack)
			if withLog {
				c.log(e, r, p)
			}
		}
	}
	slices.Sort(c.Findings)
	return c
}

// pair judges one recipient of one message.
func (l *Ledger) pair(c *Counters, e *entry, r string, p *pair, slack time.Duration) {
	name := fmt.Sprintf("%s (%s) <%s>", e.ID, e.queueID, r)
	there := len(p.deliveries) > 0
	c.Delivered += len(p.deliveries)
	switch p.outcome {
	case acked:
		c.Acked++
		if !there && p.notices == 0 && !p.queued && !p.corrupt {
			c.find(&c.Loss, "LOSS %s", name)
		}
	case refused, unsent:
		if p.outcome == refused {
			c.Refused++
		}
		if there {
			c.find(&c.Phantom, "PHANTOM %s: %s", name, p.deliveries[0].Where)
		}
	default:
		c.Unknown++
		if there {
			c.UnknownIn++
		}
	}
	if p.notices > 0 {
		c.find(&c.FalseBounce, "FALSE_BOUNCE %s", name)
	}
	if p.queued && p.outcome != refused && p.outcome != unsent {
		c.find(&c.Stuck, "STUCK %s", name)
	}
	if p.corrupt && p.outcome == acked && !there {
		c.Corrupt++
	}
	l.duplicates(c, name, p, slack, l.handed(e, p, slack))
}

// handed are the faults at which a message may have come to be there once more:
// submitted by a command, it was being taken over from the directory where such
// messages are dropped, at the first one and therefore at each later one too.
func (l *Ledger) handed(e *entry, p *pair, slack time.Duration) (causes []string) {
	if !e.dropped {
		return nil
	}
	for _, f := range l.faults {
		if e.sent.Before(f.to) && (len(causes) > 0 || p.outcome == pending || p.told.Add(2*slack).After(f.from)) {
			causes = append(causes, f.what)
		}
	}
	return causes
}

// duplicates judges repeated deliveries. One is the good one; each other must
// have been on its way at a kill: begun before it, and not yet marked as done.
// The good one need not come last: a sink may note an arrival long after the
// sender was killed.
// handed are as the method says: each makes up for one.
func (l *Ledger) duplicates(c *Counters, name string, p *pair, slack time.Duration, handed []string) {
	good := false
	for _, d := range p.deliveries {
		what := l.cause(d, slack)
		switch {
		case what == "" && good && len(handed) > 0:
			c.DupAt[handed[0]]++
			handed = handed[1:]
		case what == "" && good:
			c.find(&c.DupUnexplained, "DUP_UNEXPLAINED %s: %d times, once by %s, begun %s, at %s; before that %s",
				name, len(p.deliveries), d.Where, clock(d.Begin), clock(d.At), l.lastFault(d.At))
		case what == "":
			good = true
		case len(p.deliveries) > 1:
			c.DupAt[what]++
		}
	}
	if n := len(p.deliveries); n > 1 {
		c.Dup += n - 1
		if !good { // the good one was on its way at some kill, too
			c.DupAt[l.cause(p.deliveries[n-1], slack)]--
		}
	}
}

// lastFault tells of the last kill before a moment.
func (l *Ledger) lastFault(at time.Time) string {
	last := interval{what: "nothing was killed"}
	for _, f := range l.faults {
		if f.from.Before(at) {
			last = f
		}
	}
	return fmt.Sprintf("%s, %s to %s", last.what, clock(last.from), clock(last.to))
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// cause is the kill that a delivery was on its way at: of several the one
// nearest to the delivery. Empty: none.
func (l *Ledger) cause(d Delivery, slack time.Duration) (what string) {
	var best time.Duration
	for _, f := range l.faults {
		if d.Begin.After(f.to) || d.At.Add(slack).Before(f.from) {
			continue
		}
		if away := d.At.Sub(f.from).Abs(); what == "" || away < best {
			what, best = f.what, away
		}
	}
	return what
}

// log judges the mail log. A delivery whose record was lost with a kill has no
// line, its repetition has; so there is at least one, and at most as many as
// there are deliveries.
func (c *Counters) log(e *entry, r string, p *pair) {
	if p.outcome != acked || p.queued || p.corrupt {
		return
	}
	if p.finals == 0 {
		c.find(&c.LogMissing, "LOG_MISSING %s (%s) <%s>", e.ID, e.queueID, r)
	} else if p.finals > max(1, len(p.deliveries)) {
		c.find(&c.LogExtra, "LOG_EXTRA %s (%s) <%s>: %d lines, %d deliveries", e.ID, e.queueID, r, p.finals, len(p.deliveries))
	}
}

// Add adds the counters of another run.
func (c *Counters) Add(o *Counters) {
	for _, p := range []struct{ sum, more *int }{
		{&c.Loss, &o.Loss}, {&c.Phantom, &o.Phantom}, {&c.DupUnexplained, &o.DupUnexplained}, {&c.Garbled, &o.Garbled},
		{&c.Misrouted, &o.Misrouted}, {&c.FalseBounce, &o.FalseBounce}, {&c.Stuck, &o.Stuck}, {&c.LogMissing, &o.LogMissing},
		{&c.LogExtra, &o.LogExtra}, {&c.Messages, &o.Messages}, {&c.Recipients, &o.Recipients}, {&c.Acked, &o.Acked},
		{&c.Refused, &o.Refused}, {&c.Unknown, &o.Unknown}, {&c.UnknownIn, &o.UnknownIn}, {&c.Delivered, &o.Delivered},
		{&c.Dup, &o.Dup}, {&c.Corrupt, &o.Corrupt},
	} {
		*p.sum += *p.more
	}
	c.ConnLost, c.Refusals, c.DupAt = addMap(c.ConnLost, o.ConnLost), addMap(c.Refusals, o.Refusals), addMap(c.DupAt, o.DupAt)
	c.Findings = append(c.Findings, o.Findings[:min(len(o.Findings), max(0, maxFindings-len(c.Findings)))]...)
}

func addMap[K comparable](sum, more map[K]int) map[K]int {
	if sum == nil {
		sum = map[K]int{}
	}
	for k, n := range more {
		sum[k] += n
	}
	return sum
}
