package queue

import (
	"errors"
	"io/fs"

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

// Expire marks a message so that the scheduler returns it to its sender when
// its next attempt is due, instead of that attempt.
func (q *Queue) Expire(id mail.QueueID, in Name) error { return q.wish(id, in, expireBit, false) }

// Unthrottle marks a message so that its next attempt, which is due at once,
// also tries destinations that are marked as dead.
func (q *Queue) Unthrottle(id mail.QueueID, in Name) error {
	return q.wish(id, in, unthrottleBit, true)
}

// wish sets a mode bit on a ready message; due makes the next scan take it.
func (q *Queue) wish(id mail.QueueID, in Name, bit fs.FileMode, due bool) error {
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
	if !due {
		return nil
	}
	return m.SetTimes(q.now())
}

// Expired tells whether a message is marked to be returned.
func (s Stat) Expired() bool { return s.Mode&expireBit != 0 }
