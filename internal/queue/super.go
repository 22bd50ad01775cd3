package queue

import (
	"errors"
	"fmt"
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

// ActAll does something to all messages in the given queues. failed is told of
// each message with which it did not work; the others are done all the same.
func (q *Queue) ActAll(a Action, in []Name, failed func(error)) Counts {
	var total Counts
	for _, n := range a.sources() {
		if !slices.Contains(in, n) {
			continue
		}
		for id, err := range q.List(n) {
			var done Counts
			if err == nil {
				done, err = q.act(a, id, n)
			}
			total.Add(done)
			if err != nil && !errors.Is(err, ErrGone) && !errors.Is(err, ErrNotReady) {
				failed(err)
			}
		}
	}
	return total
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
