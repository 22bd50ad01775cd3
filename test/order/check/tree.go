package check

import (
	"path"
	"strings"

	"posthaste/test/order/trace"
)

// tree is the file system as the calls so far have made it. Calls count from
// their beginning when they will succeed; whether what they changed is durable
// is another matter.
type tree struct {
	dir   string // what relative paths of old calls are relative to
	files map[string]*file
	dirs  map[string]*directory
	// leaving are the old names of renames that are under way: strace may still
	// see a descriptor under them.
	leaving map[string]*file
	// doing is what calls that have begun will need at their end.
	doing map[*trace.Call][]doing
}

// doing is a change that is under way, with sync what a sync will cover, or the
// end of a rename.
type doing struct {
	o    *object
	n    int
	sync bool
	// names tells that the sync is one of a file, and o the directory of its name.
	names bool
	all   []int  // what the sync covers
	left  string // the old name of a file that is renamed
}

func newTree(dir string) *tree {
	return &tree{dir: dir, files: map[string]*file{}, dirs: map[string]*directory{},
		leaving: map[string]*file{}, doing: map[*trace.Call][]doing{}}
}

func (t *tree) directory(name string) *directory {
	d := t.dirs[name]
	if d == nil {
		d = &directory{}
		t.dirs[name] = d
	}
	return d
}

// change notes a change whose call ends later.
func (t *tree) change(c *trace.Call, o *object) int {
	n := o.begin()
	t.doing[c] = append(t.doing[c], doing{o: o, n: n})
	return n
}

// link gives a file a name.
func (t *tree) link(c *trace.Call, f *file, name string, before *entry) {
	d := t.directory(path.Dir(name))
	if before == nil { // what it was called before does not count
		f.entries = nil
	}
	f.entries = append(f.entries, &entry{dir: d, change: t.change(c, &d.object), before: before})
	t.files[name] = f
}

// unlink takes a name away. It tells whether a power cut now would leave it so.
func (t *tree) unlink(c *trace.Call, name string) (durable func() bool) {
	f := t.files[name]
	delete(t.files, name)
	d := t.directory(path.Dir(name))
	n := t.change(c, &d.object)
	durable = func() bool { return d.durable(n) }
	if f == nil {
		return durable
	}
	for _, other := range t.files {
		if other == f {
			return durable
		}
	}
	f.ended = true
	return durable
}

// create notes an open that makes a file.
func (t *tree) create(c *trace.Call, name string, process int) *file {
	f := &file{creator: process}
	t.link(c, f, name, nil)
	return f
}

// open finds the file behind a path that a descriptor was opened with; a file
// that is older than the trace is durable as it is.
func (t *tree) open(name string) *file {
	f := t.find(name)
	if f == nil {
		f = &file{}
		t.files[name] = f
	}
	return f
}

// find finds the file behind a path; nil: none is known.
func (t *tree) find(name string) *file {
	if f := t.files[name]; f != nil {
		return f
	}
	return t.leaving[name]
}

// write notes a change of a file's content.
func (t *tree) write(c *trace.Call, f *file) int { return t.change(c, &f.object) }

// rename gives a file another name. With either, the old one serves as well.
func (t *tree) rename(c *trace.Call, from, to string, either bool) *file {
	f := t.open(from)
	var before *entry
	switch n := len(f.entries); {
	case !either:
	case n > 0:
		before = f.entries[n-1]
	default:
		before = &entry{dir: &directory{}} // older than the trace: durable
	}
	delete(t.files, from)
	t.leaving[from] = f
	t.change(c, &t.directory(path.Dir(from)).object)
	t.link(c, f, to, before)
	t.doing[c] = append(t.doing[c], doing{left: from})
	return f
}

func (t *tree) mkdir(c *trace.Call, name string) {
	parent := t.directory(path.Dir(name))
	t.dirs[name] = &directory{entry: &entry{dir: parent, change: t.change(c, &parent.object)}}
}

// sync notes that a sync of one object, or of all below a directory, begins.
func (t *tree) sync(c *trace.Call, name string, all bool) {
	cover := func(o *object) { t.doing[c] = append(t.doing[c], doing{o: o, all: o.covered(), sync: true}) }
	if !all {
		if f := t.find(name); f != nil {
			cover(&f.object)
		} else if d := t.dirs[name]; d != nil {
			cover(&d.object)
		}
		return
	}
	for at, f := range t.files {
		if strings.HasPrefix(at, name) {
			cover(&f.object)
		}
	}
	for at, d := range t.dirs {
		if strings.HasPrefix(at, name) {
			cover(&d.object)
		}
	}
}

// syncNames notes that a sync that begins covers the names which its file has got.
func (t *tree) syncNames(c *trace.Call, name string) {
	f := t.find(name)
	if f == nil {
		return
	}
	for _, e := range f.entries {
		if e.dir.made(e.change) {
			t.doing[c] = append(t.doing[c], doing{o: &e.dir.object, all: []int{e.change}, sync: true, names: true})
		}
	}
}

// end ends a call: its changes are complete, its sync has covered what it had to
// when it began. One that strace answered itself was never made.
func (t *tree) end(c *trace.Call) {
	for _, d := range t.doing[c] {
		switch {
		case d.left != "":
			delete(t.leaving, d.left)
		case !d.sync:
			d.o.end(d.n)
		case !c.Finished:
		case c.Result < 0 && c.Errno != "EINVAL":
			if !d.names { // the other names in the directory have syncs of their own
				d.o.fail()
			}
		case c.Result == 0 && !c.Injected:
			d.o.sync(d.all, strings.HasPrefix(c.Name, "sync"))
		}
	}
	delete(t.doing, c)
}
