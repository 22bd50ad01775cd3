package queue

import (
	"context"
	"io"
	"time"
)

// lockPause is between two tries to get a lock that another process holds.
const lockPause = 20 * time.Millisecond

// LockMaildrop waits until no other process takes messages out of maildrop, as two
// generations may want to after a reload: each would take the same message. Closing
// the lock lets the next one go on. The end of ctx is an error.
func (q *Queue) LockMaildrop(ctx context.Context) (io.Closer, error) {
	dir, err := q.fs.Open(string(Maildrop), false)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(lockPause)
	defer tick.Stop()
	for {
		ok, err := dir.TryLock()
		if ok {
			return dir, nil
		}
		if err == nil {
			select {
			case <-tick.C:
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		dir.Close()
		return nil, err
	}
}
