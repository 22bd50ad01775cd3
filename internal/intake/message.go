package intake

import (
	"context"
	"errors"
	"sync"

	"posthaste/internal/mail"
	"posthaste/internal/protocol/mime"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

// stage is how far a message has come.
type stage uint8

const (
	inEnvelope stage = iota
	inHeader
	inBody
	ended
)

// Message is one message on its way in: Recipient and content lines in any
// number, then Commit or Discard. The first error sticks; what follows it is
// read and dropped, and Commit returns it.
type Message struct {
	door     *Door
	draft    Draft
	out      *record.Writer
	envelope mail.Envelope
	stage    stage
	err      error

	// Recipients.
	given    int // calls of Recipient before the content
	shown    mail.Address
	last     mail.Address // for log lines
	seen     duplicates
	late     []mail.Recipient // recipients that came after the content began
	bcc      []mail.Address   // from BCC actions
	prepend  []string         // headers above our own
	expanded []mail.Recipient
	kept     []mail.Recipient // with KeepRecipients: what was written
	many     bool             // more than mostKept: none is kept

	// Content.
	head     *[]byte // the logical header that is being collected
	partial  bool    // the last text was a fragment
	hops     int
	present  present
	resent   bool
	encoding mail.Encoding
	started  bool // a line of content was given
	bodySize int64
	parts    *mime.Tracker // nil: everything below the header is text
	sevenBit bool          // the line has to be 7-bit text
	refused  faults        // for which the message is refused
	faults   faults        // that it has

	// Outcome of checks.
	filter   string
	redirect mail.Address
	hold     bool
	discard  bool
	passed   bool // PASS, REDIRECT or DISCARD: no further checks
	rejected bool // by a check
	size     bool // the size limit was exceeded
}

// buffers holds header buffers between messages.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// keepHeader is the largest header buffer that is kept for another message.
const keepHeader = 32 << 10

// ID is the queue id of the message.
func (m *Message) ID() mail.QueueID { return m.draft.ID() }

// Sender is the envelope sender after rewriting and mapping.
func (m *Message) Sender() mail.Address { return m.envelope.Sender }

// mostKept is how many recipients are kept in memory; lists may be as long as they like.
const mostKept = 10_000

// keep remembers a recipient for Recipients.
func (m *Message) keep(r mail.Recipient) {
	if m.many = m.many || len(m.kept) == mostKept; m.many {
		m.kept = nil
		return
	}
	m.kept = append(m.kept, r)
}

// Recipients are those so far, as they are delivered to (see KeepRecipients); none
// when they are too many.
func (m *Message) Recipients() []mail.Recipient { return m.kept }

// ContentRefused tells that a check refused the message for what is in it.
func (m *Message) ContentRefused() bool { return m.rejected }

// Size is the size of the message so far, in bytes of the queue file.
func (m *Message) Size() int64 {
	if m.out == nil {
		return 0
	}
	return m.out.Size()
}

// reportExpanded records the recipients with NOTIFY=SUCCESS that were replaced by
// their aliases: the sender is owed a notice "expanded" for each (RFC 3461
// section 5.2.7.3), which is sent when delivery ends.
func (m *Message) reportExpanded() {
	if len(m.expanded) == 0 || m.door.logs == nil {
		return
	}
	var entries []queue.LogEntry
	for _, r := range m.expanded {
		entries = append(entries, queue.LogEntry{Recipient: r,
			Status: mail.Status{Action: mail.Expanded, Code: "2.0.0", Reason: "alias expanded"}})
	}
	if err := m.door.logs.AppendLog(queue.TraceLog, m.ID(), entries...); err != nil {
		m.door.log.Warning("%s: trace log: %s", m.ID(), err)
	}
}

// fail makes err the message's outcome, unless it already has one.
func (m *Message) fail(err error) error {
	if err != nil && m.err == nil {
		m.err = refusal(err)
	}
	return m.err
}

// refusal makes every error a *mail.Error. A failed lookup is what Postfix
// reports as a write error: nothing is wrong that the client could mend.
func refusal(err error) error {
	var known *mail.Error
	if !errors.As(err, &known) {
		return &mail.Error{Reply: 451, Code: "4.3.0", Text: "Error: queue file write error", Err: err}
	}
	if known.Text == "Temporary lookup failure" {
		return &mail.Error{Reply: known.Reply, Code: known.Code, Text: "Error: queue file write error", Err: known.Err}
	}
	return known
}

// Discard removes the message as if it had never been. It does nothing after
// Commit.
func (m *Message) Discard() {
	if m.stage != ended {
		m.end()
		m.draft.Discard()
	}
}

// end lets go of what the message holds.
func (m *Message) end() {
	m.stage = ended
	m.out = nil
	if m.head != nil && cap(*m.head) <= keepHeader {
		*m.head = (*m.head)[:0]
		buffers.Put(m.head)
	}
	m.head = nil
}

// Commit ends the message. After nil it is durable, or was discarded by a
// DISCARD action; after an error (*mail.Error) nothing of it is left.
func (m *Message) Commit(ctx context.Context) error {
	if m.stage == ended {
		return refusal(errors.New("message was already ended"))
	}
	if err := m.finish(ctx); err != nil || m.discard {
		m.Discard()
		return err
	}
	m.end()
	m.reportExpanded()
	if err := m.draft.Commit(ctx); err != nil {
		if len(m.expanded) > 0 && m.door.logs != nil {
			m.door.logs.RemoveLog(queue.TraceLog, m.ID())
		}
		return refusal(err)
	}
	if !m.hold {
		m.door.flow.committed(m.ID())
	}
	return nil
}

// finish writes everything behind the content.
func (m *Message) finish(ctx context.Context) error {
	if err := m.endContent(ctx); err != nil {
		return err
	}
	m.out.BeginExtracted()
	if m.filter != "" {
		m.out.Filter(m.filter)
	}
	if m.redirect != "" {
		m.out.Redirect(m.redirect)
	}
	m.out.Attribute("message_id", m.envelope.MessageID)
	if m.encoding != "" {
		m.out.Attribute("encoding", string(m.encoding))
	}
	for _, r := range m.late {
		if err := m.recipient(ctx, r); err != nil {
			return err
		}
	}
	if err := m.automaticBCC(ctx); err != nil {
		return err
	}
	if m.discard {
		return nil
	}
	if m.out.Recipients() == 0 {
		return &mail.Error{Reply: 550, Code: "5.1.0", Text: "Error: no recipients specified"}
	}
	if m.overSize() {
		return m.err
	}
	m.out.SetOptions(m.envelope.Options)
	if m.hold {
		if err := m.draft.Hold(); err != nil {
			return refusal(err)
		}
	}
	return nil
}

// overSize checks message_size_limit, which counts the whole queue file.
func (m *Message) overSize() bool {
	limit := m.door.params.Common.MessageSizeLimit
	if limit <= 0 || m.out.Size() <= limit {
		return false
	}
	if !m.size {
		m.size = true
		m.door.log.Warning("%s: queue file size limit exceeded", m.ID())
		m.fail(&mail.Error{Reply: 552, Code: "5.3.4", Text: "Error: message file too big"})
	}
	return true
}
