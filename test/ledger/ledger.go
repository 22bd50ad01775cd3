// Package ledger counts messages, for tests that break a mail system while
// mail flows. An injector notes each message and what it was told, the sinks
// and mailbox readers note what arrived, and Count says what was lost,
// repeated, garbled or sent astray. The unit is the pair of message and
// recipient.
//
// The books are in memory: the processes under test never touch them.
package ledger

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Phase is how far a session had come when the connection broke.
type Phase string

// The phases. Only AfterDot leaves open who has the message.
const (
	Connecting Phase = "connect"
	Hello      Phase = "hello"
	Envelope   Phase = "envelope"
	Data       Phase = "data"
	AfterDot   Phase = "after dot"
)

// outcome is what the injector was told about a recipient.
type outcome int

const (
	pending outcome = iota // nothing yet; at the end it counts as unknown
	acked
	refused
	unsent // the connection broke before the dot: delivery would be a phantom
	unknown
)

// pair is one recipient of one message.
type pair struct {
	outcome    outcome
	told       time.Time // when the outcome was known
	deliveries []Delivery
	notices    int // to the sender that it failed
	queued     bool
	corrupt    bool
	finals     int // lines in the mail log that end it
}

// entry is a message.
type entry struct {
	Message
	sent    time.Time
	pairs   map[string]*pair
	queueID string
	dropped bool // submitted by a command, which gives no queue id
}

// Delivery is one arrival.
type Delivery struct {
	Recipient string
	Sender    string    // MAIL FROM; empty is the null sender
	Text      string    // header and body with LF line ends
	Where     string    // a session or a file, for reports
	Begin, At time.Time // of the transaction, and of the record
	Envelope  bool      // Sender is what the envelope said
}

// interval is a time in which something was killed.
type interval struct {
	what     string
	from, to time.Time
}

// Ledger is the books of one run. It is safe for concurrent use.
type Ledger struct {
	prefix string

	mu       sync.Mutex
	next     int
	messages map[string]*entry
	byQueue  map[string]*entry
	faults   []interval
	refusals map[string]int
	lost     map[Phase]int
	garbled  []string
	astray   []string
	arrived  int
}

// New begins the books of a run; prefix begins all its message ids.
func New(prefix string) *Ledger {
	return &Ledger{prefix: prefix, messages: map[string]*entry{}, byQueue: map[string]*entry{},
		lost: map[Phase]int{}, refusals: map[string]int{}}
}

// Send notes a message that is about to be sent, and makes it: size is that of
// its body in bytes, about.
func (l *Ledger) Send(sender string, size int, recipients ...string) Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	m := compose(fmt.Sprintf("%s.%d", l.prefix, l.next), sender, size, recipients)
	e := &entry{Message: m, sent: time.Now(), pairs: map[string]*pair{}}
	for _, r := range recipients {
		e.pairs[r] = &pair{}
	}
	l.messages[m.ID] = e
	return m
}

// Refused notes a final reply of 4xx or 5xx: to one recipient, or to all with
// an empty one.
func (l *Ledger) Refused(id, recipient, reply string) {
	l.mu.Lock()
	l.refusals[kindOf(reply)]++
	l.mu.Unlock()
	l.close(id, func(r string, p *pair) {
		if recipient == "" || r == recipient {
			p.outcome = refused
		}
	})
}

// kindOf is the code and the enhanced code of a reply.
func kindOf(reply string) string {
	code, rest, _ := strings.Cut(reply, " ")
	if enhanced, _, ok := strings.Cut(rest, " "); ok && strings.Count(enhanced, ".") == 2 {
		return code + " " + enhanced
	}
	return code
}

// Dropped notes that a message is going to be submitted by a command.
func (l *Ledger) Dropped(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[id].dropped = true
}

// Acked notes the 250 to the end of data, or an exit status of 0. All recipients
// that were not refused are acknowledged. The queue id is taken from the reply,
// if it has one.
func (l *Ledger) Acked(id, reply string) {
	l.close(id, func(_ string, p *pair) { p.outcome = acked })
	_, queueID, found := strings.Cut(reply, "queued as ")
	if !found {
		return
	}
	queueID, _, _ = strings.Cut(queueID, " ")
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.messages[id]
	e.queueID = queueID
	l.byQueue[queueID] = e
}

// Lost notes that the connection broke.
func (l *Ledger) Lost(id string, at Phase) {
	l.mu.Lock()
	l.lost[at]++
	l.mu.Unlock()
	end := unsent
	if at == AfterDot {
		end = unknown
	}
	l.close(id, func(_ string, p *pair) { p.outcome = end })
}

// close calls f for the recipients of a message that have no outcome yet.
func (l *Ledger) close(id string, f func(string, *pair)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if e := l.messages[id]; e != nil {
		for r, p := range e.pairs {
			if p.outcome == pending {
				f(r, p)
				p.told = now
			}
		}
	}
}

// Fault notes that something was killed between two moments. Deliveries that
// were on their way then may be repeated.
func (l *Ledger) Fault(what string, from, to time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, interval{what, from, to})
}

// Delivered notes an arrival. It must be called before the sink says 250. A
// notice to the sender of a message is booked as that.
func (l *Ledger) Delivered(d Delivery) {
	got := parse(d.Text)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrived++
	if got.notice {
		l.notice(d, got)
		return
	}
	e := l.messages[got.id]
	if e == nil {
		l.garbled = append(l.garbled, fmt.Sprintf("%s: no message with id %q was sent", d.Where, got.id))
		return
	}
	if why := e.differs(got); why != "" {
		l.garbled = append(l.garbled, fmt.Sprintf("%s: %s: %s", d.Where, got.id, why))
	} else if d.Envelope && d.Sender != e.Sender {
		l.garbled = append(l.garbled, fmt.Sprintf("%s: %s: sender is <%s>", d.Where, got.id, d.Sender))
	}
	p := e.pairs[d.Recipient]
	if p == nil {
		l.astray = append(l.astray, fmt.Sprintf("%s: %s: delivered to <%s>", d.Where, got.id, d.Recipient))
		return
	}
	d.Text = "" // books of a long run fit into memory
	p.deliveries = append(p.deliveries, d)
}

// notice books a notice to the recipients that it names, or else to all.
func (l *Ledger) notice(d Delivery, got parsed) {
	e := l.messages[got.id]
	if e == nil {
		l.garbled = append(l.garbled, d.Where+": a notice of an unknown message")
		return
	}
	for r, p := range e.pairs {
		if len(e.pairs) == 1 || strings.Contains(d.Text, "<"+r+">") {
			p.notices++
		}
	}
}

// Queued notes a message that is still in the queue at the end, with the text
// of its file; corrupt: in the corrupt queue.
func (l *Ledger) Queued(text string, corrupt bool) {
	id := findID(text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.messages[id]; e != nil {
		for _, p := range e.pairs {
			p.queued, p.corrupt = p.queued || !corrupt, p.corrupt || corrupt
		}
	}
}

// Final notes a line in the mail log that ends a recipient.
func (l *Ledger) Final(queueID, recipient string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.byQueue[queueID]; e != nil {
		if p := e.pairs[recipient]; p != nil {
			p.finals++
		}
	}
}

// Arrived is how many deliveries were noted so far.
func (l *Ledger) Arrived() int { l.mu.Lock(); defer l.mu.Unlock(); return l.arrived }
