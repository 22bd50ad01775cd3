package intake

import "posthaste/internal/protocol/mime"

// followsParts tells whether the headers of parts have to be told from text: some
// are inspected as headers, and none by body_checks.
func (d *Door) followsParts() bool {
	return !d.params.DisableMIME && !(d.mimeChecks.Empty() && d.nestedChecks.Empty() && d.bodyChecks.Empty())
}

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
	m.parts.Field(head)
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

// endParts finishes what the last line left open.
func (m *Message) endParts() {
	if m.parts != nil && m.parts.Place() != mime.Body {
		m.endPartHeader()
	}
}
