// Package intake is the one door into the queue, Postfix's cleanup(8): every
// message, from wherever, enters here. It rewrites and maps addresses, expands
// virtual aliases, completes and checks headers, and writes the message. When
// Commit returns nil the message is durable.
//
// It touches the queue through package queue and reads lookup tables. It knows
// no protocol and opens no files or sockets of its own.
package intake

import (
	"context"
	"time"

	"posthaste/internal/address"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
	"posthaste/internal/table"
)

// Log takes the operator's log lines; *maillog.Logger is one.
type Log interface {
	Info(format string, args ...any)
	Warning(format string, args ...any)
}

type noLog struct{}

func (noLog) Info(string, ...any)    {}
func (noLog) Warning(string, ...any) {}

// Draft is a message that is being written; *queue.Draft is one.
type Draft interface {
	ID() mail.QueueID
	Records() *record.Writer
	Hold() error
	Commit(ctx context.Context) error
	Discard()
}

// Queue makes drafts.
type Queue interface {
	Create() (Draft, error)
}

// Incoming is the incoming queue of q.
func Incoming(q *queue.Queue) Queue { return incoming{q} }

type incoming struct{ queue *queue.Queue }

// Create begins a message.
func (i incoming) Create() (Draft, error) { return i.queue.Create(queue.Incoming) }

// Deps are what the door needs from others.
type Deps struct {
	Queue  Queue
	Maps   *address.Maps
	Tables table.Opener
	Log    Log              // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
	// Logs takes what is to be reported of a message when its delivery has ended;
	// nil: nothing is.
	Logs Logs
	// Untaken tells whether a message that came in is still where Commit left
	// it: in the incoming queue, not yet taken by the scheduler. nil: messages are
	// never held back (in_flow_delay).
	Untaken func(mail.QueueID) bool
}

// Logs are the logs from which notices are made; *queue.Queue has them.
type Logs interface {
	AppendLog(kind queue.Name, id mail.QueueID, entries ...queue.LogEntry) error
	RemoveLog(kind queue.Name, id mail.QueueID) error
}

// Options say how messages of one source are treated.
type Options struct {
	// NoAddressMappings turns off canonical and virtual alias mapping,
	// masquerading and automatic BCC (receive_override_options).
	NoAddressMappings bool
	// NoHeaderBodyChecks turns off header_checks, body_checks and the
	// message_…_characters parameters.
	NoHeaderBodyChecks bool
	// Internal is for mail that this system makes itself (notices, forwarded
	// mail): no automatic BCC, no checks.
	Internal bool
	// Forwarded leaves the client out of the Received header: an earlier one
	// has it.
	Forwarded bool
	// Class is the source as smtputf8_autodetect_classes names it: where it does,
	// UTF-8 in addresses and headers asks for SMTPUTF8 although the client did not.
	Class string
	// KeepRecipients lets Recipients tell of those of a message that is refused, when
	// they are not too many.
	KeepRecipients bool
	// UserID is the numeric user who submitted the message here; empty for
	// others. It is shown in the Received header.
	UserID string
	// Trace are further lines of the Received header of a network client,
	// behind its first: TLS and authentication, without the leading tab.
	Trace []string
}

// Door takes messages. It is safe for concurrent use; each Message belongs to
// one goroutine.
type Door struct {
	params       Params
	options      Options
	detects      bool // see Options.Class
	queue        Queue
	maps         *address.Maps
	log          Log
	logs         Logs
	now          func() time.Time
	headerChecks *table.Maps
	mimeChecks   *table.Maps
	nestedChecks *table.Maps
	bodyChecks   *table.Maps
	drop         map[string]bool
	strip        *byteSet
	reject       *byteSet
	refused      faults // for which messages are refused
	warnAfter    time.Duration
	flow         *flow // nil: no message waits
}

// New makes a door. It fails on settings that make no sense.
func New(p Params, d Deps) (*Door, error) {
	warn, err := parseHours(p.Common.DelayWarningTime)
	if err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if d.Log == nil {
		d.Log = noLog{}
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	door := &Door{
		params: p, queue: d.Queue, maps: d.Maps, log: d.Log, logs: d.Logs, now: d.Now,
		headerChecks: table.NewMaps(d.Tables, "header_checks", p.HeaderChecks),
		mimeChecks:   table.NewMaps(d.Tables, "mime_header_checks", p.MIMEHeaderChecks),
		nestedChecks: table.NewMaps(d.Tables, "nested_header_checks", p.NestedHeaderChecks),
		bodyChecks:   table.NewMaps(d.Tables, "body_checks", p.BodyChecks),
		drop:         nameSet(p.DropHeaders),
		strip:        newByteSet(p.StripCharacters),
		reject:       newByteSet(p.RejectCharacters),
		warnAfter:    warn,
		flow:         newFlow(p.FlowDelay, p.Common.DefaultProcessLimit, d.Untaken),
	}
	door.refused = door.refusedFaults()
	return door, nil
}

// With returns the same door for messages that are treated by o.
func (d *Door) With(o Options) *Door {
	other := *d
	other.options = o
	other.detects = d.params.SMTPUTF8Detects(o.Class)
	return &other
}

// Open begins a message. The envelope's Created and WarnAt are set here, and
// Arrival too where it is zero. The error is a *mail.Error; a message that was
// opened must be ended with Commit or Discard. When mail comes in faster than it
// is taken, Open waits for in_flow_delay at the most.
func (d *Door) Open(ctx context.Context, e mail.Envelope) (*Message, error) {
	if !d.options.Internal {
		// What the system sends to itself it sends while it delivers: to wait for
		// progress there would hold up the progress.
		d.flow.wait(ctx)
	}
	draft, err := d.queue.Create()
	if err != nil {
		return nil, refusal(err)
	}
	m := &Message{door: d, draft: draft, out: draft.Records(), envelope: e, hops: 0}
	m.head = buffers.Get().(*[]byte)
	now := d.now()
	if e.Arrival.IsZero() {
		m.envelope.Arrival = now
	}
	m.envelope.Created = time.Unix(now.Unix(), 0)
	m.envelope.WarnAt = time.Time{}
	if d.warnAfter > 0 {
		m.envelope.WarnAt = m.envelope.Created.Add(d.warnAfter)
	}
	if e.Origin.LogIdent == "" && (e.Origin.Logged.Name != "" || e.Origin.Logged.Address != "") {
		m.envelope.Origin.LogIdent = string(draft.ID())
	}
	if err := m.sender(ctx); err != nil {
		m.Discard()
		return nil, err
	}
	return m, nil
}
