package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"posthaste/internal/mail"
)

// Delete removes a message and its logs.
func (q *Queue) Delete(id mail.QueueID, from Name) error {
	if !id.Valid() {
		return ErrGone
	}
	path := q.Path(from, id)
	q.noteGone(id)
	if err := q.fs.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return ErrGone
		}
		return err
	}
	q.moved.mark(path)
	var err error
	for _, kind := range Logs {
		err = errors.Join(err, q.RemoveLog(kind, id))
	}
	return err
}

// Expire marks a message so that the scheduler returns it to its sender at the
// next chance, without a further attempt.
func (q *Queue) Expire(id mail.QueueID, in Name) error { return q.wish(id, in, expireBit) }

// Unthrottle marks a message so that its next attempt also tries destinations
// that are marked as dead.
func (q *Queue) Unthrottle(id mail.QueueID, in Name) error { return q.wish(id, in, unthrottleBit) }

// wish sets a mode bit on a ready message and makes it due, so that the next
// scan takes it.
func (q *Queue) wish(id mail.QueueID, in Name, bit fs.FileMode) error {
	m, err := q.Open(in, id)
	if err != nil {
		return err
	}
	defer m.Close()
	if !m.Stat.Ready() {
		return ErrNotReady
	}
	if err := m.Chmod(m.Stat.Mode.Perm() | bit); err != nil {
		return err
	}
	return m.SetTimes(q.now())
}

// Expired tells whether a message is marked to be returned.
func (s Stat) Expired() bool { return s.Mode&expireBit != 0 }

// RepairReport is told what Repair and Purge do, one line at a time.
type RepairReport func(format string, args ...any)

// Repair puts files where the settings want them: at the right depth of
// subdirectories, and, for short ids, with the inode number in the name that
// the file really has (after a copy or restore, names could collide with new
// ones, R9). Long ids are renamed only when long is true: they do not collide.
// It must run while nothing else uses the queue.
func (q *Queue) Repair(long bool, report RepairReport) error {
	var failed error
	for _, n := range Names {
		// The whole list first: a rename must not be met again in the walk.
		var found [][2]string
		q.walk(string(n), 0, func(dir, name string, err error) bool {
			if err != nil {
				failed = errors.Join(failed, err)
			} else {
				found = append(found, [2]string{dir, name})
			}
			return true
		})
		for _, f := range found {
			failed = errors.Join(failed, q.repairOne(n, f[0]+"/"+f[1], f[1], long, report))
		}
	}
	return failed
}

func (q *Queue) repairOne(n Name, path, name string, long bool, report RepairReport) error {
	st, err := q.fs.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	id := mail.QueueID(name)
	if !st.Mode.IsRegular() || !id.Valid() {
		report("warning: %s: not a queue file, left alone", path)
		return nil
	}
	if !st.Ready() {
		return nil
	}
	if st.Links > 1 {
		report("warning: %s: file has %d links", path, st.Links)
	}
	if want := rightID(id, st.Inode, long); want != id {
		for q.taken(want) {
			want += "0"
		}
		report("warning: renaming %s to %s: inode number does not match", path, want)
		q.renameLogs(id, want)
		id = want
	}
	if target := q.Path(n, id); target != path {
		return q.rename(path, target)
	}
	return nil
}

// rightID is the name that a file with this inode should have.
func rightID(id mail.QueueID, inode uint64, long bool) mail.QueueID {
	s := string(id)
	if _, part, ok := longParts(s); ok {
		if !long {
			return id
		}
		return mail.QueueID(s[:len(s)-len(part)] + encode(inode, 51, 1))
	}
	if len(s) <= 5 {
		return id
	}
	return mail.QueueID(s[:5] + fmt.Sprintf("%X", inode))
}

func (q *Queue) renameLogs(from, to mail.QueueID) {
	for _, kind := range Logs {
		q.rename(q.Path(kind, from), q.Path(kind, to)) // most have none
	}
}

// Purge removes files that were never finished and are older than age: what a
// crash left in the middle of a reception that nobody was told had succeeded.
func (q *Queue) Purge(age time.Duration, report RepairReport) (removed int, err error) {
	for _, n := range []Name{Incoming, Active, Hold, Maildrop} {
		q.walk(string(n), 0, func(dir, name string, e error) bool {
			if e != nil {
				err = errors.Join(err, e)
				return true
			}
			path := dir + "/" + name
			st, e := q.fs.Lstat(path)
			if e != nil || !st.Mode.IsRegular() || st.Ready() || q.now().Sub(st.MTime) < age {
				return true
			}
			if e := q.fs.Remove(path); e != nil {
				err = errors.Join(err, e)
				return true
			}
			report("removed unfinished file %s", path)
			removed++
			return true
		})
	}
	return removed, err
}
