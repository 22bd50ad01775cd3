package schedule

import (
	"context"
	"iter"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

// Deps are what the scheduler needs from others. All must be safe for
// concurrent use. Queue, Resolver, Agents and Notices must be set.
type Deps struct {
	Queue    Queue
	Resolver Resolver
	Agents   Agents
	Notices  Notifier
	Log      Log      // nil: no log
	Clock    Clock    // nil: the machine's clock
	Override Override // <transport>_… parameters; nil: none set
	// Descriptors is how many this process can spare for messages and deliveries
	// (descriptors.go); 0: any number.
	Descriptors int
	// Unreachable tells that an agent's error means "the service cannot be
	// reached", so that its transport is left alone for a while; nil: never.
	Unreachable func(err error) bool
	// Deferred is told of each recipient whose delivery has failed for now, from
	// several goroutines; nil: nobody.
	Deferred func(id mail.QueueID, to mail.Address)
	// Untaken is told, from several goroutines, of messages in incoming that are
	// left to another process, since Stop was called: those that Stop has put back
	// and those that arrive. An empty id: there are others. nil: nobody is told.
	Untaken func(id mail.QueueID)
}

// Queue is the queue on disk; see package queue for what each call promises.
// Disk adapts a *queue.Queue.
type Queue interface {
	Recover() (moved, busy int, err error)
	List(queue.Name) iter.Seq2[mail.QueueID, error]
	ListStats(queue.Name) iter.Seq2[queue.Listed, error]
	Stat(queue.Name, mail.QueueID) (queue.Stat, error)
	Claim(queue.Name, mail.QueueID, queue.ClaimOptions) (Claim, error)
	Move(id mail.QueueID, from, to queue.Name) error
	AppendLog(kind queue.Name, id mail.QueueID, entries ...queue.LogEntry) error
	ReadLog(kind queue.Name, id mail.QueueID) ([]queue.LogEntry, error)
	RemoveLog(kind queue.Name, id mail.QueueID) error
}

// Claim is a claimed message. Calls do not overlap. It ends with Remove, Defer,
// Release or SetAside, whatever these return.
type Claim interface {
	Read() Claimed
	Entries(from record.Position, limit int) ([]record.Entry, record.Position, error)
	MarkDone(record.Entry) error
	Rest() // nothing is being delivered: what only marks need is given back until the next
	SetWarned() error
	SetReported() error
	Remove() error // after an error only Close ends the claim
	Close()
	Defer(at time.Time) error
	Release() error
	SetAside(reason error) error
}

// Claimed is what is known of a message when it was claimed.
type Claimed struct {
	Info       *record.Info
	Unthrottle bool // try dead destinations too
	Expire     bool // return it now
}

// Disk adapts the queue on disk to Queue.
func Disk(q *queue.Queue) Queue { return disk{q} }

type disk struct{ *queue.Queue }

func (d disk) Claim(from queue.Name, id mail.QueueID, o queue.ClaimOptions) (Claim, error) {
	c, err := d.Queue.Claim(from, id, o)
	if err != nil {
		return nil, err
	}
	return diskClaim{c}, nil
}

type diskClaim struct{ *queue.Claimed }

func (c diskClaim) Read() Claimed {
	return Claimed{Info: c.Info, Unthrottle: c.Unthrottle, Expire: c.Expire}
}

// Route is where a recipient goes.
type Route struct {
	Transport string       // master.cf service name
	Nexthop   string       // as the transport wants it
	Recipient mail.Address // the resolved address; empty: unchanged
	Local     bool         // the address is in a local domain
}

// Resolver finds the route of a recipient. An error defers the recipient; a
// recipient that can never be delivered has a route to the error transport.
type Resolver interface {
	Resolve(ctx context.Context, sender, recipient mail.Address) (Route, error)
}

// Agents finds the delivery agent of a transport, and how many deliveries it
// takes at a time (0: no limit). An error means that there is none now.
type Agents interface {
	Agent(service string) (agent deliver.Agent, maxproc int, err error)
}

// NoticeKind tells what a notice is about.
type NoticeKind uint8

// The kinds of notices.
const (
	NoticeBounce       NoticeKind = iota // recipients failed for good: recorded in Notice.Log
	NoticeExpired                        // recipients were deferred too long: recorded in Notice.Log
	NoticeDelay                          // recipients are late: recorded in Notice.Log
	NoticeDelayCleared                   // NoticeTrace after a NoticeDelay: who was told of that is told of success too
	NoticeTrace                          // success asked for by DSN or sendmail -v: recorded in Notice.Log
	NoticeVerify                         // sendmail -bv, delivery was only tried out: recorded in Notice.Log
	NoticeProbe                          // result of an address probe: in Notice.Results
)

// Notice asks to tell somebody about a message.
type Notice struct {
	Kind     NoticeKind
	ID       mail.QueueID
	Envelope mail.Envelope
	Size     int64
	Content  record.Content
	Log      queue.Name       // log with the recipients and their results
	Results  []queue.LogEntry // for NoticeProbe
}

// Notifier sends notices. nil means that the notice is durably queued, or that
// nobody wants it; on an error the scheduler keeps the message and asks again.
// Which recipients of the log are told of (NOTIFY, RFC 3461) is the notifier's
// decision. Removing the log is the scheduler's work.
type Notifier interface {
	Notify(ctx context.Context, n Notice) error
}

// Log is the operator's log. It makes arguments harmless and adds "warning: ".
type Log interface {
	Info(format string, args ...any)
	// Later is Info for a line that may wait a moment for the next.
	Later(format string, args ...any)
	Warning(format string, args ...any)
	// Delivery logs the result of one recipient, in the name of the service
	// that had it; word stands behind status=.
	Delivery(service string, id mail.QueueID, to mail.Recipient, word string, st mail.Status, d maillog.Delays)
}

// OperatorLog makes a Log of the loggers of package maillog: the queue
// manager's own, and those of the delivery services by name.
func OperatorLog(own *maillog.Logger, service func(name string) *maillog.Logger) Log {
	return operatorLog{own, service}
}

type operatorLog struct {
	*maillog.Logger
	service func(name string) *maillog.Logger
}

func (o operatorLog) Delivery(service string, id mail.QueueID, to mail.Recipient, word string, st mail.Status, d maillog.Delays) {
	o.service(service).DeliveryAs(id, to, word, st, d)
}

// Clock is the time of day and the time that never jumps.
type Clock interface {
	Now() time.Time         // the time of day, as others set it
	Elapsed() time.Duration // since some fixed moment of this process
}

// systemClock is the machine's clock.
type systemClock struct{ start time.Time }

func (systemClock) Now() time.Time           { return time.Now() }
func (c systemClock) Elapsed() time.Duration { return time.Since(c.start) }

// nopLog discards.
type nopLog struct{}

func (nopLog) Info(string, ...any)    {}
func (nopLog) Later(string, ...any)   {}
func (nopLog) Warning(string, ...any) {}
func (nopLog) Delivery(string, mail.QueueID, mail.Recipient, string, mail.Status, maillog.Delays) {
}
