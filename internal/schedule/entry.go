package schedule

import (
	"time"

	"posthaste/internal/queue/record"
)

// entry is a batch of recipients of one message for one destination: what one
// call of a delivery agent gets.
type entry struct {
	peer       *peer
	recipients []record.Entry
	nexthop    string
	started    time.Time

	// only: when the entry started nothing else of the message was left, and
	// nothing of it had been deferred. If all goes well the file is removed
	// next, and marking the last recipient in it would be wasted.
	only bool
}
