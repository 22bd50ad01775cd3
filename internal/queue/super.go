package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"posthaste/internal/mail"
)

// Action is what an administrator does to a message (postsuper(1)).
type Action uint8

// The actions.
const (
	ActDelete        Action = iota // remove it and its logs
	ActRequeue                     // send it through pickup and intake again
	ActHold                        // let it wait in hold
	ActRelease                     // from hold into deferred
	ActExpire                      // mark it to be returned at the next attempt
	ActExpireRelease               // that, and release it when it is held
)

// sources are the queues that an action takes messages from, in the order of a
// message's life, so that one which moves on meanwhile is met again.
func (a Action) sources() []Name {
	switch a {
	case ActDelete:
		return []Name{Maildrop, Incoming, Active, Deferred, Hold}
	case ActHold:
		return []Name{Incoming, Active, Deferred}
	case ActRelease:
		return []Name{Hold}
	}
	return []Name{Incoming, Active, Deferred, Hold}
}

// Takes tells whether the action does anything to messages of a queue.
func (a Action) Takes(from Name) bool { return slices.Contains(a.sources(), from) }

// Counts tells how many messages something was done to.
type Counts struct{ Deleted, Requeued, Held, Released, Expired int }

// Add adds up.
func (c *Counts) Add(d Counts) {
	c.Deleted += d.Deleted
	c.Requeued += d.Requeued
	c.Held += d.Held
	c.Released += d.Released
	c.Expired += d.Expired
}

// Act does something to one message, wherever it lies in the given queues.
// Nothing done is no error: the message may be gone, or was so already. A
// message that is being received is left alone until it is complete.
func (q *Queue) Act(a Action, id mail.QueueID, in []Name) (Counts, error) {
	if !id.Valid() {
		return Counts{}, fmt.Errorf("bad queue id %q", id)
	}
	// Twice: it may move from a queue not looked at yet into one that was.
	for range 2 {
		for _, n := range a.sources() {
			if !slices.Contains(in, n) {
				continue
			}
			done, err := q.act(a, id, n)
			if err == nil {
				return done, nil
			}
			if !errors.Is(err, ErrGone) && !errors.Is(err, ErrNotReady) {
				return done, err
			}
		}
	}
	return Counts{}, nil
}

// ActAll does something to all messages in the given queues, wherever they lie
// in them. failed is told of each message with which it did not work; the others
// are done all the same. Logs that belong to no message go with all messages.
func (q *Queue) ActAll(a Action, in []Name, failed func(error)) Counts {
	var total Counts
	for _, n := range a.sources() {
		if !slices.Contains(in, n) {
			continue
		}
		q.arranged(n, failed, func(id mail.QueueID) error {
			done, err := q.act(a, id, n)
			total.Add(done)
			return err
		})
	}
	logs := slices.DeleteFunc(slices.Clone(Logs), func(kind Name) bool { return !slices.Contains(in, kind) })
	if a == ActDelete && len(logs) > 0 {
		q.Arrange(Names, failed) // or some would not be found
		for _, kind := range logs {
			q.arranged(kind, failed, func(id mail.QueueID) error { return q.removeStray(kind, id) })
		}
	}
	return total
}

// Arrange moves the messages of some queues to where hash_queue_names and
// hash_queue_depth want them, when these have changed since they were put there.
func (q *Queue) Arrange(in []Name, failed func(error)) {
	for _, n := range in {
		q.arranged(n, failed, func(mail.QueueID) error { return nil })
	}
}

// arranged does something with each file of a queue, after it was put where it
// would be looked for.
func (q *Queue) arranged(n Name, failed func(error), do func(id mail.QueueID) error) {
	q.walk(string(n), 0, func(dir string, e DirEntry, err error) bool {
		id := mail.QueueID(e.Name)
		if err == nil && !id.Valid() {
			return true
		}
		if path := dir + "/" + e.Name; err == nil && path != q.Path(n, id) {
			err = q.arrange(path, q.Path(n, id))
		}
		if err == nil {
			err = do(id)
		}
		if err != nil && !errors.Is(err, ErrGone) && !errors.Is(err, ErrNotReady) {
			failed(err)
		}
		return true
	})
}

func (q *Queue) arrange(path, target string) error {
	if st, err := q.fs.Lstat(path); err != nil || !st.Mode.IsRegular() {
		return ErrGone
	}
	return q.renameFree(path, target)
}

// renameFree renames a file, unless there is one with the new name: fs.ErrExist.
func (q *Queue) renameFree(path, target string) error {
	if _, err := q.fs.Lstat(target); err == nil {
		return fmt.Errorf("%s: not moved to %s: %w", path, target, fs.ErrExist)
	}
	return q.rename(path, target)
}

// removeStray removes a log unless there is a message that it belongs to.
func (q *Queue) removeStray(kind Name, id mail.QueueID) error {
	for range 2 { // it may move into a queue that was looked at
		if _, _, err := q.Find(id); !errors.Is(err, ErrGone) {
			return err
		}
	}
	return q.RemoveLog(kind, id)
}

func (q *Queue) act(a Action, id mail.QueueID, n Name) (done Counts, err error) {
	st, err := q.Stat(n, id)
	if err == nil && !st.Ready() {
		err = ErrNotReady
	}
	if err != nil {
		return done, err
	}
	switch a {
	case ActDelete:
		if err = q.Delete(id, n); err == nil {
			done.Deleted = 1
		}
	case ActRequeue:
		if err = q.pull(id, n, Maildrop); err == nil {
			done.Requeued = 1
		}
	case ActHold:
		if err = q.pull(id, n, Hold); err == nil {
			done.Held = 1
		}
	default:
		return q.actHeld(a, id, n, st)
	}
	return done, err
}

// actHeld is expiry and release, which go together in ActExpireRelease.
func (q *Queue) actHeld(a Action, id mail.QueueID, n Name, st Stat) (done Counts, err error) {
	if a != ActRelease && !st.Expired() {
		if err := q.Expire(id, n); err != nil {
			return done, err
		}
		done.Expired = 1
	}
	if a != ActExpire && n == Hold {
		if err := q.Move(id, Hold, Deferred); err != nil {
			return done, err
		}
		done.Released = 1
	}
	return done, nil
}

// commitTime is how long a message that is complete but not durable yet is
// waited for.
const commitTime = 5 * time.Second

// pull moves a message out of the way of the scheduler. One that lies in
// incoming may be in the last moment of its reception: its name there is
// about to be made durable, and must not be moved under the door's hands. A
// message in active may be under delivery, which goes on: what is delivered
// is marked in the file wherever it lies then.
func (q *Queue) pull(id mail.QueueID, from, to Name) error {
	f, err := q.Open(from, id)
	if err != nil {
		return err
	}
	defer f.Close()
	if from == Incoming {
		if err := q.awaitCommit(f); err != nil {
			return fmt.Errorf("%s: %w", q.Path(from, id), err)
		}
	}
	if to == Maildrop {
		// The next scan takes it, whatever its retry time was.
		if err := f.SetTimes(q.now()); err != nil {
			return err
		}
	}
	return q.Move(id, from, to)
}

func (q *Queue) awaitCommit(f *Message) error {
	const step = 5 * time.Millisecond
	for waited := time.Duration(0); ; waited += step {
		ok, err := f.TryLock()
		if ok || err != nil {
			return err
		}
		if waited >= commitTime {
			return ErrLocked
		}
		time.Sleep(step)
	}
}
