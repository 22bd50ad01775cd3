package queue

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"posthaste/internal/mail"
)

// SyncInterval is how long a removal, a move or a mark may be undone by a power
// cut at the most (R4): what is repeated then is at most the deliveries of that
// time.
const SyncInterval = time.Second

// sweepEvery is how often segments of dead writers are looked for, in intervals.
const sweepEvery = 10

// Keep makes what was only written durable once every SyncInterval, until the
// context ends. With sweep it also makes good what writers that have died left
// behind; one process of a queue does that. failed is told of errors.
func (q *Queue) Keep(ctx context.Context, sweep bool, failed func(error)) {
	q.prepare(sweep, failed)
	tick := time.NewTicker(SyncInterval)
	defer tick.Stop()
	idle := make(chan bool, 1) // one slow piece of work at a time, beside the ticks
	idle <- true
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		q.syncWritten(failed)
		if q.journal == nil {
			continue
		}
		select {
		case <-idle:
			go func() {
				q.prepare(sweep, failed)
				q.checkpointWhenDue(sweep && n%sweepEvery == 0, failed)
				idle <- true
			}()
		default:
		}
	}
}

// Slim is for a process that commits few messages from now on: it keeps no room
// on the disk ahead of them.
func (q *Queue) Slim() {
	if q.journal != nil {
		q.journal.slim()
	}
}

// prepare keeps a file ready for the next segment of a process that commits messages;
// who sweeps commits little.
func (q *Queue) prepare(sweep bool, failed func(error)) {
	if q.journal == nil || sweep {
		return
	}
	if err := q.journal.prepare(); err != nil {
		failed(err)
	}
}

// checkpointWhenDue makes all queue files durable when enough was written since
// the last time.
func (q *Queue) checkpointWhenDue(sweep bool, failed func(error)) {
	if q.journal.due() {
		if err := q.journal.checkpoint(); err != nil {
			failed(err)
		}
	}
	if sweep {
		if err := q.sweep(); err != nil {
			failed(err)
		}
	}
}

// syncWritten makes durable what was written before the call.
func (q *Queue) syncWritten(failed func(error)) {
	if j := q.journal; j != nil {
		if err := j.syncNotes(); err != nil {
			failed(err)
		}
		if err := j.failure(); err != nil {
			failed(err)
		}
		return // the journal knows of all removals, and a move may be undone
	}
	for path := range q.marked.take() {
		// One that has left active meanwhile was synced, or is gone.
		if err := q.syncFile(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed(err)
		}
	}
	for d := range q.moved.take() {
		if err := q.dirs.Sync(d); err != nil {
			failed(err)
		}
	}
}

// syncFile makes durable what was written to a file, by anybody.
func (q *Queue) syncFile(path string) error {
	f, err := q.fs.Open(path, true)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// settleStep is how often Settle looks.
const settleStep = 20 * time.Millisecond

// Settle makes everything durable in its own file, and waits until no notes of
// this process depend on segments of others, which end at about the same time,
// or until ctx ends.
func (q *Queue) Settle(ctx context.Context) error {
	if q.journal == nil {
		return nil
	}
	for {
		if err := q.journal.checkpoint(); err != nil || !q.journal.waits() {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settleStep):
		}
	}
}

// Close makes everything durable in its own file and ends the use of the
// journal: afterwards the directories alone are the queue.
func (q *Queue) Close() error {
	var failed error
	if q.journal != nil {
		return q.journal.close()
	}
	q.syncWritten(func(err error) { failed = err })
	return failed
}

// Sync makes all moves and removals so far durable: for a command, before it
// ends. What it noted in the journal is left to the process that sweeps.
func (q *Queue) Sync() error {
	var failed error
	if j := q.journal; j != nil {
		failed = j.release()
	}
	for d := range q.moved.take() {
		failed = errors.Join(failed, q.dirs.Sync(d))
	}
	return failed
}

// noteGone notes, before its file is unlinked, that a message is to be no more.
// Should the note fail, the unlink alone has to become durable.
func (q *Queue) noteGone(id mail.QueueID) {
	if q.journal != nil {
		q.journal.note(frameGone, id, 0)
	}
}
