package queue

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// notesFile is a checkpointed segment that is kept for its marks and removals:
// as long as another segment may hold a message that they are about, a crash
// would bring that message back without them.
type notesFile struct {
	name  string
	file  File     // locked
	until []string // segments that may hold such messages; nil: not looked up yet
}

// checkpoint makes all queue files durable, with which the segments written so
// far have done their work. After an error they stay, unlocked, for a sweep to
// make the queue files good from them.
func (j *journal) checkpoint() error {
	j.keep.Lock()
	defer j.keep.Unlock()
	j.mu.Lock()
	if j.cur != nil && j.cur.size > 0 {
		j.leave()
	}
	left := slices.Clone(j.left)
	j.mu.Unlock()
	if len(left) > 0 {
		for _, s := range left {
			s.users.Wait()
		}
		err := j.all.SyncAll()
		j.mu.Lock()
		j.left = slices.Clone(j.left[len(left):]) // others may have come behind them
		j.mu.Unlock()
		for _, s := range left {
			s.syncers.Wait()
		}
		if err != nil {
			for _, s := range left {
				s.file.Close()
			}
			return err
		}
		roomy := j.roomy()
		for _, s := range left {
			if roomy && !s.notes && !s.bad && j.fs.Rename(s.name, s.name+spareSuffix) == nil {
				j.keepSpare(&segment{name: s.name + spareSuffix, file: s.file, blocks: max(s.blocks, s.size)})
			} else {
				j.retire(s.name, s.file, s.notes)
			}
		}
	}
	return j.dropNotes()
}

// retire ends a segment whose messages are durable in their files. Should that
// fail, the segment is replayed once more than needed. The caller holds keep.
func (j *journal) retire(name string, file File, notes bool) {
	if !notes {
		j.fs.Remove(name)
		file.Close()
		return
	}
	if j.fs.Rename(name, name+notesSuffix) != nil {
		file.Close()
		return
	}
	j.notes = append(j.notes, notesFile{name: name + notesSuffix, file: file})
}

// dropNotes removes the notes that nothing needs any more. The caller holds keep.
func (j *journal) dropNotes() error {
	if len(j.notes) == 0 {
		return nil
	}
	j.mu.Lock()
	own := ""
	if j.cur != nil {
		own = j.cur.name
	}
	j.mu.Unlock()
	// A segment that is empty will only get messages that nothing was noted
	// about so far, and so will the one that this process writes.
	present := map[string]bool{}
	err := j.segments(func(name string) {
		if name != own && !strings.HasSuffix(name, notesSuffix) {
			st, err := j.fs.Lstat(name)
			present[name] = err != nil || st.Size > 0
		}
	})
	if err != nil {
		return err
	}
	var over []notesFile
	rest := j.notes[:0]
	for _, n := range j.notes {
		if n.until == nil {
			n.until = []string{}
			for name, full := range present {
				if full {
					n.until = append(n.until, name)
				}
			}
		}
		if slices.ContainsFunc(n.until, func(name string) bool { _, there := present[name]; return there }) {
			rest = append(rest, n)
		} else {
			over = append(over, n)
		}
	}
	j.notes = rest
	if len(over) == 0 {
		return nil
	}
	// The removals seen must not be undone by a crash that the next ones survive.
	err = j.fs.SyncDir(string(Journal))
	for _, n := range over {
		if err == nil {
			j.fs.Remove(n.name)
		}
		n.file.Close() // what is not removed is swept some other time
	}
	return err
}

// waits tells whether there are notes that others need.
func (j *journal) waits() bool {
	j.keep.Lock()
	defer j.keep.Unlock()
	return len(j.notes) > 0
}

// segments calls each for every segment of the journal.
func (j *journal) segments(each func(name string)) error {
	err := j.fs.ReadDir(string(Journal), func(e DirEntry) bool {
		if !e.Dir && !isUnused(e.Name) {
			each(string(Journal) + "/" + e.Name)
		}
		return true
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// release makes the notes of a process that commits no messages durable, and
// leaves their segment to a sweep.
func (j *journal) release() error {
	err := j.syncNotes()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cur != nil {
		j.cur.file.Close()
		j.cur = nil
	}
	return err
}

// journalInUse tells whether the journal has any segment: then a command that removes
// messages must note it.
func (q *Queue) journalInUse() bool {
	used := false
	j := journal{fs: q.fs}
	err := j.segments(func(string) { used = true })
	return used || err != nil
}

// close checkpoints and lets go of all files: what remains of the notes is
// swept by another process or at the next start.
func (j *journal) close() error {
	err := j.checkpoint()
	j.keep.Lock()
	defer j.keep.Unlock()
	for _, n := range j.notes {
		n.file.Close()
	}
	j.notes = nil
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dropSpares(0)
	if s := j.cur; s != nil { // empty, or written to by somebody who did not hear of the end
		if s.size == 0 {
			j.fs.Remove(s.name)
		}
		s.file.Close()
		j.cur = nil
	}
	return err
}
