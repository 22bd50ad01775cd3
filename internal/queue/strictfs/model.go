// Package strictfs is a file system in memory that remembers which of its
// changes are durable, and can show the disk as a power cut would leave it.
// It serves the tests of package queue, and only tests import it.
//
// Every change is an operation in one list. A sync makes earlier operations
// durable: in the Posix profile a file's sync its data, mode and times, and a
// directory's sync its entries; in the Ext4 profile any sync also commits all
// earlier changes of names, as that file system's journal does. A crash keeps
// the durable operations and any subset of the others, in order.
package strictfs

import (
	"io/fs"
	"path"
	"time"
)

// Profile is a set of promises a file system gives.
type Profile uint8

// The profiles.
const (
	Posix Profile = iota
	Ext4
)

type kind uint8

const (
	opCreate kind = iota
	opWrite
	opMode
	opTimes
	opTruncate
	opRename
	opRemove
	opMkdir
)

// op is one change.
type op struct {
	kind    kind
	name    string // create, rename (from), remove, mkdir
	to      string // rename
	inode   int    // create, write, mode, times, truncate
	offset  int64  // write, truncate
	data    []byte
	mode    fs.FileMode
	mtime   time.Time
	at      int  // number of this event
	durable int  // event that made it durable; 0: none yet
	extends bool // a write behind the end of the file
	lost    bool // a failed sync dropped it from memory: it never becomes durable
}

// names tells whether the operation changes directory entries.
func (o *op) names() bool {
	return o.kind == opCreate || o.kind == opRename || o.kind == opRemove || o.kind == opMkdir
}

// touches tells whether the operation changes an entry of the directory.
func (o *op) touches(dir string) bool {
	return o.names() && (path.Dir(o.name) == dir || o.kind == opRename && path.Dir(o.to) == dir)
}

// node is a file.
type node struct {
	data  []byte
	mode  fs.FileMode
	mtime time.Time
	lock  *handle
}

// state is what the names and files are after some operations.
type state struct {
	dirs  map[string]bool
	names map[string]int
	nodes map[int]*node
}

func newState() *state {
	return &state{dirs: map[string]bool{".": true}, names: map[string]int{}, nodes: map[int]*node{}}
}

// node returns a file, made on first use: its data may be durable while no
// name leads to it.
func (s *state) node(inode int) *node {
	n := s.nodes[inode]
	if n == nil {
		n = &node{}
		s.nodes[inode] = n
	}
	return n
}

// apply carries out an operation; one whose ground is missing has no effect.
func (s *state) apply(o *op) {
	switch o.kind {
	case opCreate:
		if s.dirs[path.Dir(o.name)] {
			s.names[o.name] = o.inode
			if n := s.node(o.inode); n.mode == 0 {
				n.mode = o.mode
			}
		}
	case opWrite:
		n := s.node(o.inode)
		if end := o.offset + int64(len(o.data)); end > int64(len(n.data)) {
			n.data = append(n.data, make([]byte, end-int64(len(n.data)))...)
		}
		copy(n.data[o.offset:], o.data)
	case opMode:
		s.node(o.inode).mode = o.mode
	case opTimes:
		s.node(o.inode).mtime = o.mtime
	case opTruncate:
		n := s.node(o.inode)
		n.data = append(n.data[:min(int64(len(n.data)), o.offset)], make([]byte, max(0, o.offset-int64(len(n.data))))...)
	case opRename:
		if inode, ok := s.names[o.name]; ok && s.dirs[path.Dir(o.to)] {
			delete(s.names, o.name)
			s.names[o.to] = inode
		}
	case opRemove:
		delete(s.names, o.name)
	case opMkdir:
		if s.dirs[path.Dir(o.name)] {
			s.dirs[o.name] = true
		}
	}
}

// Keep decides which of the changes that are not durable survive a crash: it
// is asked once for each of them, i counting from 0 to n-1. Tear, if not 0,
// cuts the last surviving write that made a file longer at a multiple of that many bytes; Zero makes
// its data zero while the size stays.
type Keep struct {
	Survives func(i, n int) bool
	Tear     int
	Zero     bool
}

// Crash returns the file system as it is found after a power cut right after
// the given event (0 to Events). Everything in it is durable.
func (f *FS) Crash(event int, keep Keep) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	var past []op
	pending := 0
	for _, o := range f.ops {
		if o.at > event {
			break
		}
		past = append(past, o)
		if !o.durableBy(event) && !o.lost {
			pending++
		}
	}
	after := New(f.profile)
	after.nextInode = f.nextInode
	kept := past[:0]
	n := 0
	for _, o := range past {
		switch {
		case o.durableBy(event):
			kept = append(kept, o)
		case !o.lost:
			if keep.Survives(n, pending) {
				kept = append(kept, o)
			}
			n++
		}
	}
	tear(kept, event, keep)
	for i := range kept {
		after.now.apply(&kept[i])
	}
	return after
}

func (o *op) durableBy(event int) bool { return o.durable != 0 && o.durable <= event }

// tear damages the last write that made a file longer and was not durable. A
// write within a block, such as a mark, is one sector: it is there or it is not.
func tear(kept []op, event int, keep Keep) {
	if keep.Tear == 0 && !keep.Zero {
		return
	}
	for i := len(kept) - 1; i >= 0; i-- {
		o := &kept[i]
		if o.kind != opWrite || !o.extends || o.durableBy(event) {
			continue
		}
		o.data = append([]byte(nil), o.data...)
		if keep.Zero {
			clear(o.data)
		} else {
			o.data = o.data[:len(o.data)/2/keep.Tear*keep.Tear]
		}
		return
	}
}
