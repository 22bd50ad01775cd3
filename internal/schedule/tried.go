package schedule

import (
	"hash/maphash"

	"posthaste/internal/mail"
)

// tried remembers which messages a scan of the deferred queue has put back there: a
// directory that changes while it is read may show them again, and a flush would
// try those that fail at once again and again. Eight bytes are kept of each, and
// nothing after the end of the scan: a flush may meet a million of them. That two
// messages of one scan have the same hash, and one has to wait for its time, is not
// to be expected.
type tried struct {
	scan int // counts the scans
	seed maphash.Seed
	seen map[uint64]struct{} // nil: no scan runs
}

// begin is the start of a scan.
func (t *tried) begin() {
	t.scan++
	t.seed, t.seen = maphash.MakeSeed(), map[uint64]struct{}{}
}

// end forgets everything.
func (t *tried) end() { t.seen = nil }

// add remembers a message that was claimed while the given scan ran, if that still
// runs. One whose attempt began before has not been tried by it.
func (t *tried) add(id mail.QueueID, scan int) {
	if t.seen != nil && t.scan == scan {
		t.seen[maphash.String(t.seed, string(id))] = struct{}{}
	}
}

func (t *tried) has(id mail.QueueID) bool {
	if t.seen == nil {
		return false
	}
	_, found := t.seen[maphash.String(t.seed, string(id))]
	return found
}
