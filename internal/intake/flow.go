package intake

import (
	"context"
	"sync"
	"time"

	"posthaste/internal/mail"
)

// flow holds back new messages while those before them lie untouched in the
// incoming queue (in_flow_delay): when mail comes in faster than the queue
// manager takes it, each message waits a little, and none is refused.
//
// It counts no messages of others: each process looks whether the last ones
// that it committed itself are still in incoming. So nothing is shared, and the
// queue manager, another generation of it, or a real Postfix may come and go. A
// look costs a few lstat(2) and is good for many messages.
type flow struct {
	delay   time.Duration
	limit   int                     // messages that may lie there
	waiting func(mail.QueueID) bool // whether one does

	mu      sync.Mutex
	ring    []mail.QueueID // the last messages committed; the one at next is the oldest
	next    int
	credit  int           // messages that may come in before the next look
	sleeper int           // messages that wait
	changed chan struct{} // closed when there is credit again; nil: nobody looks
}

// Bounds of the time between two looks while messages wait: a short time for
// a burst, a long one for a queue manager that has stopped.
const (
	firstLook = time.Millisecond
	lastLook  = 64 * time.Millisecond
)

// newFlow returns nil, which never waits, when there is nothing to wait for.
func newFlow(delay time.Duration, limit int, waiting func(mail.QueueID) bool) *flow {
	if delay <= 0 || limit <= 0 || waiting == nil {
		return nil
	}
	return &flow{delay: delay, limit: limit, waiting: waiting}
}

// wait returns when the message may come in: at once, when enough of those
// before it were taken, or after the delay.
func (f *flow) wait(ctx context.Context) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.admit() {
		return
	}
	timer := time.NewTimer(f.delay)
	defer timer.Stop()
	f.sleeper++
	defer func() { f.sleeper-- }()
	for {
		if f.changed == nil {
			f.changed = make(chan struct{})
			go f.watch()
		}
		changed := f.changed
		f.mu.Unlock()
		late := false
		select {
		case <-changed:
		case <-timer.C:
			late = true
		case <-ctx.Done():
			late = true
		}
		f.mu.Lock()
		if late || f.admit() {
			return
		}
	}
}

// admit uses up one of the credit. The caller holds mu.
func (f *flow) admit() bool {
	if f.credit == 0 {
		f.credit = f.limit - f.behind()
	}
	if f.credit == 0 {
		return false
	}
	f.credit--
	return true
}

// behind is about how many of the last messages nobody has taken. They are
// taken in about the order in which they came, so that a message that was taken
// speaks for those before it: one that cannot be taken holds up nothing. The
// caller holds mu.
func (f *flow) behind() int {
	low, high := 0, len(f.ring) // those before low were taken, those from high on not
	for probe := high - 1; low < high; probe = (low + high) / 2 {
		if at := (f.next + probe) % len(f.ring); f.waiting(f.ring[at]) {
			high = probe
		} else {
			low = probe + 1
		}
	}
	return len(f.ring) - low
}

// watch looks for credit while messages wait for it, for all of them.
func (f *flow) watch() {
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		time.Sleep(pause)
		f.mu.Lock()
		if f.credit == 0 {
			f.credit = f.limit - f.behind()
		}
		if f.credit > 0 || f.sleeper == 0 {
			close(f.changed)
			f.changed = nil
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
	}
}

// committed tells of a message that came in.
func (f *flow) committed(id mail.QueueID) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ring) < f.limit {
		f.ring = append(f.ring, id)
		return
	}
	f.ring[f.next] = id
	f.next = (f.next + 1) % f.limit
}
