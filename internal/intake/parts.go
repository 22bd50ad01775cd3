package intake

import (
	"strings"

	"posthaste/internal/protocol/mime"
)

// endOfHeader ends a header, at an empty line or at text that is none.
func (m *Message) endOfHeader(text []byte) {
	if m.parts == nil {
		return
	}
	m.endStructure(len(text) == 0)
	if len(text) > 0 {
		m.follow(text) // perhaps a delimiter: the part has no body
	}
}

// follow takes a line of the body, or as much as is at hand. That of a delimiter
// belongs to what it ends.
func (m *Message) follow(text []byte) {
	m.sevenBit = m.parts.SevenBit()
	m.parts.Line(text)
}

// partText takes a piece of the body. It returns true when that is part of a
// header within: the header of a part, or of a message in the message.
func (m *Message) partText(text []byte, continued bool) bool {
	if m.parts.Place() == mime.Body {
		if !continued {
			m.follow(text)
		}
		return false
	}
	if continued && len(*m.head) == 0 {
		return false // the rest of a long delimiter
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
	if n := headerName(head); strings.EqualFold(string(head[:n]), "content-transfer-encoding") {
		m.transferEncoding(head[n:])
	}
	m.writeHeader(head)
}

// endParts finishes what the last line left open. own: that is the message's own
// header.
func (m *Message) endParts(own bool) {
	switch {
	case m.parts == nil:
	case own:
		m.endStructure(false)
	case m.parts.Place() != mime.Body:
		m.endPartHeader()
		m.endStructure(false)
	}
}
