package intake

import (
	"posthaste/internal/mail"
	"posthaste/internal/protocol/mime"
)

// endOfHeader ends a header, at an empty line or at text that is none.
func (m *Message) endOfHeader(text []byte) {
	if m.parts == nil {
		return
	}
	m.parts.EndHeader()
	if len(text) == 0 {
		return
	}
	if m.parts.Place() != mime.Body {
		m.parts.EndHeader() // no empty line: what follows is text, whatever the header said
	}
	if !m.partial {
		m.parts.Line(text) // perhaps a delimiter: the part has no body
	}
}

// partText takes a piece of the body. It returns true when that is part of a
// header within: the header of a part, or of a message in the message.
func (m *Message) partText(text []byte, continued bool) bool {
	if m.parts.Place() == mime.Body {
		if !continued && !m.partial {
			m.parts.Line(text)
		}
		return false
	}
	if m.collectHeader(text, continued) {
		return true
	}
	m.endPartHeader()
	if m.beginHeader(text) {
		return true
	}
	m.endOfHeader(text)
	return false
}

// endPartHeader inspects and writes the header that was collected.
func (m *Message) endPartHeader() {
	head := *m.head
	*m.head = head[:0]
	if len(head) == 0 {
		return
	}
	m.structure(head)
	maps := m.door.mimeChecks
	if m.parts.Place() == mime.NestedHeader {
		maps = m.door.nestedChecks
	}
	if !maps.Empty() && m.checked() {
		var keep bool
		if head, keep = m.check(maps, classHeader, head); !keep {
			return
		}
	}
	m.writeHeader(head)
}

// structure tells the tracker of a header. Nobody can tell what is in a message
// that is nested too deep.
func (m *Message) structure(head []byte) {
	if m.parts == nil || m.parts.Field(head) || m.err != nil {
		return
	}
	const reason = "MIME nesting exceeds safety limit"
	m.door.log.Info("%s: reject: mime-error %s: %.100s from %s; from=<%s> to=<%s>", m.ID(), reason, head, m.client(),
		m.envelope.Sender.Quoted(), m.last.Quoted())
	m.fail(&mail.Error{Reply: 550, Code: "5.6.0", Text: reason})
}

// endParts finishes what the last line left open.
func (m *Message) endParts() {
	if m.parts != nil && m.parts.Place() != mime.Body {
		m.endPartHeader()
	}
}
