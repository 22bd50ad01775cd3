package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"posthaste/internal/mail"
)

// PurgeAge is how old a file that was never finished must be before Repair
// takes it for the leftover of a crash: longer than any reception takes.
const PurgeAge = 7 * 24 * time.Hour

// Maintained are the directories that Repair looks after, in its order: logs
// before the messages they belong to.
var Maintained = []Name{DeferLog, BounceLog, Maildrop, Incoming, Active, Deferred, Hold, TraceLog, FlushLog}

// Late are the directories that may hold very many files, none of them
// unfinished: the mail system starts before they are repaired.
var Late = []Name{DeferLog, Deferred}

// RepairOptions say what Repair does.
type RepairOptions struct {
	In        []Name // some of Maintained
	Names     bool   // look at names alone, where they do not depend on the inode
	Structure bool   // put files where the settings want them
	LongNames bool   // long ids, too, must fit the file's inode number
	Purge     bool   // remove files that were never finished, after PurgeAge
	// Warn is told what an administrator should look at, Note of each change.
	Warn, Note func(format string, args ...any)
	// Pace is told of each file; the zero value never rests.
	Pace Pace
}

// Repair puts files where the settings want them: at the right depth of
// subdirectories, and, for short ids, with the inode number in the name that
// the file really has (after a copy or restore, names could collide with new
// ones, R9). It tells how many messages got another name. Structure should be
// checked before the mail system starts; then nothing else moves. The end of
// ctx ends it early, without an error.
func (q *Queue) Repair(ctx context.Context, o RepairOptions) (renamed int, err error) {
	for _, n := range Maintained {
		if !slices.Contains(o.In, n) {
			continue
		}
		r := repair{q: q, ctx: ctx, o: o, name: n, messages: slices.Contains(Names, n)}
		r.directory(string(n), 0)
		renamed += r.renamed
		err = errors.Join(err, r.failed)
	}
	return renamed, err
}

// repair is the work on one queue.
type repair struct {
	ctx      context.Context
	q        *Queue
	o        RepairOptions
	name     Name
	messages bool // a queue of messages, not of logs
	renamed  int
	failed   error
}

// directory repairs what lies in one directory, and removes it when the
// settings have no use for it.
func (r *repair) directory(dir string, depth int) {
	// The whole list first: a renamed file must not be met again.
	var files []DirEntry
	var below []string
	err := r.q.fs.ReadDir(dir, func(e DirEntry) bool {
		if e.Dir {
			below = append(below, e.Name)
		} else {
			files = append(files, e)
		}
		return true
	})
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: what is in it waits until the directory belongs to the mail owner, with mode 0700", err)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.failed = errors.Join(r.failed, err)
	}
	for _, f := range files {
		if r.ctx.Err() != nil {
			return
		}
		r.o.Pace.Step()
		if f.Regular && r.placed(dir, f.Name) {
			continue
		}
		if err := r.file(dir+"/"+f.Name, f.Name); err != nil {
			r.failed = errors.Join(r.failed, err)
		}
	}
	want := 0
	if slices.Contains(r.q.hashed, string(r.name)) {
		want = r.q.depth
	}
	for _, name := range below {
		path := dir + "/" + name
		if len(name) == 1 && depth < maxHashDepth {
			r.directory(path, depth+1)
			if depth < want {
				continue
			}
		}
		if !r.o.Structure {
			continue
		}
		if err := r.q.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.o.Warn("remove subdirectory %s: %v", path, reason(err))
		}
	}
}

// reason is an error without the operation and the path.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// placed tells, by the name of a file alone, that it needs no look: it lies where
// it belongs, and its name is right whatever its inode is.
func (r *repair) placed(dir, name string) bool {
	if !r.o.Names || r.o.LongNames {
		return false
	}
	id := mail.QueueID(name)
	if _, _, long := longParts(name); r.messages && (!long || r.q.short) {
		return false
	}
	return id.Valid() && r.q.Path(r.name, id) == dir+"/"+name
}

func (r *repair) file(path, name string) error {
	st, err := r.q.fs.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !st.Mode.IsRegular() {
		if r.o.Structure {
			r.o.Warn("not a regular file: %s", path)
		}
		return nil
	}
	if r.o.Purge && r.messages && !st.Ready() && r.q.now().Sub(st.MTime) > PurgeAge {
		if err := r.q.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		r.q.moved.mark(path)
		r.o.Note("removed file %s", path)
		return nil
	}
	if !r.o.Structure {
		return nil
	}
	id := mail.QueueID(name)
	if !id.Valid() {
		r.o.Warn("bogus file name: %s", path)
		return nil
	}
	if !r.messages || !st.Ready() { // one that is being written has its right name
		return r.place(path, r.q.Path(r.name, id))
	}
	return r.message(path, id, st)
}

// message repairs the name and the place of one message.
func (r *repair) message(path string, id mail.QueueID, st Stat) error {
	if st.Links > 1 && r.linkedOn(id, st.Inode) {
		if err := r.q.fs.Remove(path); err != nil {
			return err
		}
		r.q.moved.mark(path)
		r.o.Warn("removed %s: a further link to a message of another queue", path)
		return nil
	}
	want, ok := r.rightID(id, st.Inode)
	if !ok {
		r.o.Warn("bogus file name: %s", path)
		return nil
	}
	if want != id {
		for r.q.taken(want) {
			want = nextID(want)
		}
		r.q.renameLogs(id, want)
		r.renamed++
	}
	return r.place(path, r.q.Path(r.name, want))
}

// linkedOn tells whether the same file lies in a queue further on in a
// message's life: there it is further on, too, or the administrator wants it.
func (r *repair) linkedOn(id mail.QueueID, inode uint64) bool {
	for _, n := range Names[slices.Index(Names, r.name)+1:] {
		if st, err := r.q.Stat(n, id); err == nil && st.Inode == inode {
			return true
		}
	}
	return false
}

// place moves a file to where it belongs, unless another file is there.
func (r *repair) place(path, target string) error {
	if target == path {
		return nil
	}
	switch err := r.q.renameFree(path, target); {
	case errors.Is(err, fs.ErrExist):
		r.o.Warn("%s should be %s, where another file is: left alone", path, target)
		return nil
	case err != nil && !errors.Is(err, ErrGone):
		return fmt.Errorf("rename file %s as %s: %w", path, target, err)
	}
	r.o.Note("renamed file %s as %s", path, target)
	return nil
}

// rightID is the name that a file with this inode number should have; false
// when the name is that of no queue file.
func (r *repair) rightID(id mail.QueueID, inode uint64) (mail.QueueID, bool) {
	s := string(id)
	if usec, part, ok := longParts(s); ok {
		switch {
		case r.q.short: // Postfix 2.8 and older know short names only
			return mail.QueueID(fmt.Sprintf("%05X%X", usecOf(usec), inode)), true
		case r.o.LongNames:
			return mail.QueueID(s[:len(s)-len(part)] + encode(inode, 51, 1)), true
		}
		return id, true
	}
	if len(s) <= 5 || strings.Trim(s[5:], "0123456789ABCDEF") != "" {
		return id, false
	}
	return mail.QueueID(s[:5] + fmt.Sprintf("%X", inode)), true
}

// nextID is another name for the same file, when one is taken: that of a
// microsecond later.
func nextID(id mail.QueueID) mail.QueueID {
	s := string(id)
	if usec, part, ok := longParts(s); ok {
		head := s[:len(s)-len(part)-1-len(usec)]
		return mail.QueueID(head + encode(uint64(usecOf(usec)+1)%1e6, 52, usecDigits) + "z" + part)
	}
	n, _ := strconv.ParseUint(s[:5], 16, 32)
	return mail.QueueID(fmt.Sprintf("%05X", (n+1)%1e6) + s[5:])
}

func (q *Queue) renameLogs(from, to mail.QueueID) {
	for _, kind := range Logs {
		q.rename(q.Path(kind, from), q.Path(kind, to)) // most have none
	}
}
