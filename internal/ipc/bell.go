package ipc

import (
	"strings"
	"sync"
	"time"
)

// Bell tells a listener of names by a Hint. When many come it sends several in
// one datagram, one name a line: the listener then wakes up once for all of
// them. It is safe for concurrent use.
type Bell struct {
	hint *Hint
	mu   sync.Mutex
	wait []byte // names not sent yet
	last time.Time
	set  bool // a timer will send them
}

// bellInterval is how long after the last datagram the next one may be sent.
const bellInterval = 4 * time.Millisecond

// NewBell makes a Bell that sends by h.
func NewBell(h *Hint) *Bell { return &Bell{hint: h} }

// Ring tells of a name. It never blocks.
func (b *Bell) Ring(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wait)+len(name)+1 > MaxDatagram {
		b.send()
	}
	b.wait = append(append(b.wait, name...), '\n')
	switch since := time.Since(b.last); {
	case b.set:
	case since >= bellInterval:
		b.send()
	default:
		b.set = true
		time.AfterFunc(bellInterval-since, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.set = false
			b.send()
		})
	}
}

// send sends what waits; a datagram that cannot be sent is the Hint's business.
// The caller holds mu.
func (b *Bell) send() {
	b.last = time.Now()
	if len(b.wait) > 0 {
		b.hint.Send(b.wait)
		b.wait = b.wait[:0]
	}
}

// Names are the names in a datagram of a Bell; none in the empty datagram that
// stands for some that were lost.
func Names(datagram []byte) []string { return strings.Fields(string(datagram)) }
