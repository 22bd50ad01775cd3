package check

// object is a file or a directory: what was changed in it, in order, and what of
// that is durable. A change is only sure to be covered by a sync that begins
// after the change's call has ended.
type object struct {
	changes int          // begun so far; numbered from 1
	open    map[int]bool // begun and not ended
	synced  int          // all up to this one are durable, but those in lost
	lost    []span       // a failed sync may have dropped them, and later ones do not bring them back (R2)
}

// span is the changes after one up to another.
type span struct{ after, until int }

func (o *object) begin() int {
	o.changes++
	if o.open == nil {
		o.open = map[int]bool{}
	}
	o.open[o.changes] = true
	return o.changes
}

func (o *object) end(n int) { delete(o.open, n) }

// covered is the last change that a sync which begins now makes durable, with
// all before it.
func (o *object) covered() int {
	last := o.changes
	for n := range o.open {
		last = min(last, n-1)
	}
	return last
}

// sync notes that a sync ended well which covered the changes up to one.
func (o *object) sync(covered int) { o.synced = max(o.synced, covered) }

// fail notes that a sync ended with an error. What was changed until then and is
// not durable may be dropped.
func (o *object) fail() {
	if o.synced < o.changes {
		o.lost = append(o.lost, span{o.synced, o.changes})
	}
}

// durable tells whether a change is.
func (o *object) durable(n int) bool { return n <= o.synced && !o.dropped(n) }

// dropped tells whether a failed sync may have dropped a change.
func (o *object) dropped(n int) bool {
	for _, s := range o.lost {
		if n > s.after && n <= s.until {
			return true
		}
	}
	return false
}

// directory is a directory, and the entry that leads to it; nil: it is older
// than the trace.
type directory struct {
	object
	entry *entry
}

// entry is a name of a file or a directory.
type entry struct {
	dir    *directory
	change int
	before *entry // what it was renamed from, if that name serves as well: a rename is all or nothing
}

// durable tells whether the name, or an earlier one that the file was renamed
// from, leads to it after a power cut.
func (e *entry) durable() bool {
	if e == nil {
		return true
	}
	return e.dir.durable(e.change) && e.dir.entry.durable() || e.before != nil && e.before.durable()
}

func (e *entry) dropped() bool { return e != nil && e.dir.dropped(e.change) }
