package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// maxHashDepth bounds the descent into subdirectories.
const maxHashDepth = 16

// List yields the ids of the files in a queue, in no order and at any hash
// depth, while it reads the directory: memory does not grow with the queue. A
// file that is not ready, or no regular file, is yielded too; Claim and Stat
// tell. An error is yielded once, with the directory in it, and the listing
// goes on elsewhere.
func (q *Queue) List(n Name) iter.Seq2[mail.QueueID, error] {
	return func(yield func(mail.QueueID, error) bool) {
		q.walk(string(n), 0, func(_ string, e DirEntry, err error) bool {
			if err != nil {
				return yield("", err)
			}
			if id := mail.QueueID(e.Name); id.Valid() {
				return yield(id, nil)
			}
			return true
		})
	}
}

// walk calls each for every file below a queue's directory, with the directory
// it lies in.
func (q *Queue) walk(dir string, depth int, each func(dir string, e DirEntry, err error) bool) bool {
	goOn := true
	var below []string
	err := q.fs.ReadDir(dir, func(e DirEntry) bool {
		switch {
		case !e.Dir:
			goOn = each(dir, e, nil)
		case len(e.Name) == 1 && depth < maxHashDepth:
			below = append(below, dir+"/"+e.Name)
		}
		return goOn
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) && goOn {
		goOn = each(dir, DirEntry{}, err)
	}
	for _, d := range below {
		if !goOn {
			return false
		}
		goOn = q.walk(d, depth+1, each)
	}
	return goOn
}

// Stat tells about the file of a message. ErrGone when it is not there.
func (q *Queue) Stat(n Name, id mail.QueueID) (Stat, error) {
	if !id.Valid() {
		return Stat{}, ErrGone
	}
	st, err := q.fs.Lstat(q.Path(n, id))
	if errors.Is(err, fs.ErrNotExist) {
		return st, ErrGone
	}
	return st, err
}

// Find looks for a message in the given queues, in order; none: in all.
func (q *Queue) Find(id mail.QueueID, in ...Name) (Name, Stat, error) {
	if len(in) == 0 {
		in = Names
	}
	for _, n := range in {
		st, err := q.Stat(n, id)
		if errors.Is(err, ErrGone) {
			continue
		}
		return n, st, err
	}
	return "", Stat{}, ErrGone
}

// Message is a queue file opened for reading only, for listings and postcat.
type Message struct {
	File
	Stat Stat
}

// Open opens a message for reading, without claim or lock.
func (q *Queue) Open(n Name, id mail.QueueID) (*Message, error) {
	if !id.Valid() {
		return nil, ErrGone
	}
	f, err := q.fs.Open(q.Path(n, id), false)
	return opened(f, err)
}

// opened is the message in a file that was opened, or not.
func opened(f File, err error) (*Message, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Message{File: f, Stat: st}, nil
}

// Info reads the envelope of an opened message; limit as for record.Read.
func (m *Message) Info(limit int) (*record.Info, error) { return record.Read(m, limit) }

// Recover makes good what crashed processes left in the journal, and puts back
// into incoming what they left in active. A
// message whose lock is held is still being delivered by a survivor; it is
// left, and counted in busy, for a later call. So is a file that cannot be put
// back; the error tells of these as LeftError, which is no reason not to go on.
func (q *Queue) Recover() (moved, busy int, err error) {
	if j := q.journal; j != nil {
		// What cannot be made good now, on a full disk perhaps, must not keep
		// other mail from being delivered: Keep tells of it and tries again.
		if err := q.sweep(); err != nil {
			j.postpone(err)
		}
	}
	var left *LeftError
	for id, e := range q.List(Active) {
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		switch e := q.recoverOne(id); {
		case e == nil:
			moved++
		case errors.Is(e, ErrLocked):
			busy++
		case !errors.Is(e, ErrGone) && !errors.Is(e, ErrNotReady):
			busy++
			if left == nil {
				left = &LeftError{First: e}
			}
			left.Count++
		}
	}
	if err == nil && left != nil {
		err = left
	}
	return moved, busy, err
}

// LeftError tells of files in the active queue that could not be put back.
type LeftError struct {
	First error
	Count int
}

func (e *LeftError) Error() string {
	return fmt.Sprintf("%d files are left there: %s", e.Count, e.First)
}

func (q *Queue) recoverOne(id mail.QueueID) error {
	f, err := q.openReady(Active, id)
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode.IsRegular() {
		return errors.Join(err, ErrNotReady)
	}
	if ok, err := f.TryLock(); err != nil || !ok {
		return errors.Join(err, ErrLocked)
	}
	// Should the same message lie in incoming as well (R6), this replaces it:
	// the claimed file has all marks that the other has, or more.
	return q.rename(q.Path(Active, id), q.Path(Incoming, id))
}
