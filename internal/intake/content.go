package intake

import (
	"bytes"
	"context"

	"posthaste/internal/mail"
	"posthaste/internal/protocol/mime"
)

// Line adds a line of content without its line end, or the end of a line that
// Fragment began. text is not kept.
func (m *Message) Line(text []byte) error { return m.text(text, true) }

// Fragment adds a part of a line; more of the line follows.
func (m *Message) Fragment(part []byte) error { return m.text(part, false) }

// background serves table lookups made for content: Line has no context, since
// it is called for every line and the tables are in memory.
var background = context.Background()

func (m *Message) text(text []byte, complete bool) error {
	if m.stage == inEnvelope {
		m.beginContent()
	}
	if m.err != nil || m.discard {
		return m.err
	}
	if !m.started && len(text) > 0 {
		m.firstLine(&text)
	}
	m.started = true
	text = m.clean(text)
	limit := m.door.params.Common.LineLengthLimit
	for limit > 0 && len(text) > limit {
		m.piece(text[:limit], false)
		text = text[limit:]
	}
	m.piece(text, complete)
	m.overSize()
	return m.err
}

// firstLine mends what mailbox files and broken clients put first: a `From `
// line, which is no header, and white space, which would continue our own
// Received header.
func (m *Message) firstLine(text *[]byte) {
	t := *text
	switch {
	case bytes.HasPrefix(bytes.TrimLeft(t, ">"), []byte("From ")):
		*text = append([]byte("X-Mailbox-Line: "), t...)
	case isBlank(t[0]):
		m.piece(nil, true)
	}
}

// clean replaces, removes and refuses characters. Lines without such bytes,
// nearly all, are returned as they are.
func (m *Message) clean(text []byte) []byte {
	d := m.door
	if d.params.ReplaceStrayCRLF && (bytes.IndexByte(text, '\r') >= 0 || bytes.IndexByte(text, '\n') >= 0) {
		text = bytes.Clone(text)
		for i, c := range text {
			if c == '\r' || c == '\n' {
				text[i] = ' '
			}
		}
	}
	if d.strip == nil && d.reject == nil || !m.checked() {
		return text
	}
	if d.reject != nil && d.reject.in(text) {
		m.refuse("content", text, "5.7.1", "disallowed character")
	}
	if d.strip != nil && d.strip.in(text) {
		text = d.strip.remove(text)
	}
	return text
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// piece takes text of at most line_length_limit bytes.
func (m *Message) piece(text []byte, complete bool) {
	continued := m.partial
	m.partial = !complete
	switch {
	case m.stage == inHeader:
		if m.headerText(text, continued) {
			return
		}
	case m.parts != nil && m.partText(text, continued):
		return
	}
	m.bodyText(text, continued, complete)
}

// bodyText inspects and writes a piece of the body.
func (m *Message) bodyText(text []byte, continued, complete bool) {
	if m.refused&eightBitBody != 0 && m.sevenBit && !mail.IsASCII(text) {
		m.fault(eightBitBody, text)
	}
	if !m.door.bodyChecks.Empty() && m.checked() && m.bodySize < m.door.params.BodyChecksLimit {
		m.bodySize += int64(len(text)) + 1
		keep := false
		if text, keep = m.checkBody(text); !keep {
			// A piece that goes must not join its neighbours.
			if continued && complete {
				m.out.Line(nil)
			}
			return
		}
	}
	if complete {
		m.out.Line(text)
	} else {
		m.out.Fragment(text)
	}
}

// writeLine writes a line of any length, in pieces where it is too long.
func (m *Message) writeLine(line []byte) {
	limit := m.door.params.Common.LineLengthLimit
	for limit > 0 && len(line) > limit {
		m.out.Fragment(line[:limit])
		line = line[limit:]
	}
	m.out.Line(line)
}

// beginContent ends the envelope and writes our Received header.
func (m *Message) beginContent() {
	m.out.BeginContent()
	m.stage = inHeader
	if p := &m.door.params; !p.DisableMIME {
		m.parts = mime.NewTracker(mime.Limits{Nesting: p.Common.MIMENesting, Boundary: p.Common.MIMEBoundary})
		if m.checked() {
			m.refused = m.door.refused
		}
	}
	for _, h := range m.prepend {
		*m.head = append((*m.head)[:0], h...)
		m.endHeader()
	}
	*m.head = m.received((*m.head)[:0])
	m.endHeader()
}

// endContent finishes what the last line left open.
func (m *Message) endContent(context.Context) error {
	if m.stage == inEnvelope {
		m.beginContent()
	}
	own := m.stage == inHeader
	if m.err == nil && !m.discard && own {
		m.endHeader()
		m.endHeaders()
	}
	if m.err == nil && !m.discard {
		m.endParts(own)
	}
	if !m.discard {
		m.refuseFaults()
	}
	return m.err
}
