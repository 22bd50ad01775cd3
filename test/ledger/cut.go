package ledger

import (
	"maps"
	"slices"
	"time"
)

// AsOf is a copy of the books as they stand when the power is cut at some
// moment between from and to. What was told to the injector counts when it was
// told before from; later it is unknown. What was delivered counts until to,
// and what was sent later never was. Deliveries that were on their way at the
// cut may be repeated, as with Fault. The copy is books like others: what comes
// after the cut is noted in it, and the power may be cut again.
func (l *Ledger) AsOf(from, to time.Time) *Ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	then := New(l.prefix)
	then.next = l.next // no id means two messages
	then.garbled, then.astray = slices.Clone(l.garbled), slices.Clone(l.astray)
	then.lost, then.refusals = maps.Clone(l.lost), maps.Clone(l.refusals)
	for id, e := range l.messages {
		if e.sent.After(to) {
			continue
		}
		c := &entry{Message: e.Message, sent: e.sent, pairs: map[string]*pair{}, queueID: e.queueID, dropped: e.dropped}
		for r, p := range e.pairs {
			q := &pair{outcome: p.outcome, told: p.told, notices: p.notices}
			if p.told.After(from) {
				q.outcome = pending
			}
			for _, d := range p.deliveries {
				if !d.At.After(to) {
					q.deliveries = append(q.deliveries, d)
				}
			}
			c.pairs[r] = q
		}
		then.messages[id] = c
		if c.queueID != "" {
			then.byQueue[c.queueID] = c
		}
	}
	for _, f := range l.faults {
		if f.from.Before(to) { // later ones never were
			then.Fault(f.what, f.from, earlier(f.to, to))
		}
	}
	then.Fault("cut", from, to)
	return then
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
