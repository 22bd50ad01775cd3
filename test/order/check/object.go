package check

// object is a file or a directory: what was changed in it, in order, and what of
// that is durable. Changes are numbered from 1; 0 is what was there before the
// trace, which counts as durable.
type object struct {
	changes []stage
	from    int // all before this one are durable or lost
}

// stage is how far a change has come.
type stage uint8

const (
	underway stage = iota // its call has not ended: a sync may come too early for it
	written
	synced
	lost // a sync failed that it may have been part of: no later one brings it back (R2)
)

func (o *object) begin() int {
	o.changes = append(o.changes, underway)
	return len(o.changes)
}

func (o *object) end(n int) {
	if o.changes[n-1] == underway {
		o.changes[n-1] = written
	}
}

// made tells whether the call of a change has ended, so that a sync which begins now covers it.
func (o *object) made(n int) bool { return n > 0 && o.changes[n-1] != underway }

// covered are the changes that a sync which begins now makes durable.
func (o *object) covered() (list []int) {
	for ; o.from < len(o.changes) && o.changes[o.from] == synced; o.from++ {
	}
	for i := o.from; i < len(o.changes); i++ {
		if o.changes[i] != underway {
			list = append(list, i+1)
		}
	}
	return list
}

// sync notes that a sync has ended well, and what it covered. One of the whole
// file system brings back what was lost, too: ours goes through a descriptor that was opened
// before anything was written, and the kernel tells that of every failure.
func (o *object) sync(covered []int, whole bool) {
	for _, n := range covered {
		if s := o.changes[n-1]; s == written || s == lost && whole {
			o.changes[n-1] = synced
		}
	}
}

// fail notes that a sync has ended with an error. What was begun until then and is
// not durable may be dropped.
func (o *object) fail() {
	for i := range o.changes {
		if o.changes[i] < synced {
			o.changes[i] = lost
		}
	}
}

// durable tells whether a change is.
func (o *object) durable(n int) bool { return n == 0 || o.changes[n-1] == synced }

// dropped tells whether a failed sync may have dropped a change.
func (o *object) dropped(n int) bool { return n > 0 && o.changes[n-1] == lost }

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
