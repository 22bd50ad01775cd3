package intake

import (
	"bytes"
	"strings"

	"posthaste/internal/mail"
)

// headerText collects a piece of the message header. It returns false when
// the piece belongs to the body: the header has ended then.
func (m *Message) headerText(text []byte, continued bool) bool {
	if m.collectHeader(text, continued) {
		return true
	}
	m.endHeader()
	if m.beginHeader(text) {
		return true
	}
	m.endHeaders()
	m.endOfHeader(text)
	if len(text) > 0 {
		m.noEmptyLine(text)
	}
	return false
}

// collectHeader takes a piece that goes on with the header that is being
// collected; false: it does not.
func (m *Message) collectHeader(text []byte, continued bool) bool {
	head := *m.head
	switch {
	case continued:
		m.collect(text)
	case len(head) > 0 && len(text) > 0 && isBlank(text[0]):
		if len(head) < m.door.params.HeaderSizeLimit {
			*m.head = append(append(head, '\n'), text...)
		}
	default:
		return false
	}
	return true
}

// beginHeader takes a piece that begins a header; false: it does not.
func (m *Message) beginHeader(text []byte) bool {
	n := headerName(text)
	if n == 0 {
		return false
	}
	// Without the blanks before the colon: a pattern of header_checks would miss
	// the header, and readers differ about what it is.
	*m.head = append((*m.head)[:0], text[:n]...)
	*m.head = append(*m.head, text[n+bytes.IndexByte(text[n:], ':'):]...)
	return true
}

// collect adds text to a header until it has header_size_limit bytes: what it
// says is read before it is cut.
func (m *Message) collect(text []byte) {
	if len(*m.head) < m.door.params.HeaderSizeLimit {
		*m.head = append(*m.head, text...)
	}
}

// cut shortens a header to header_size_limit: between two lines when that does
// not cost more than a tenth.
func cut(head []byte, limit int) []byte {
	if len(head) <= limit {
		return head
	}
	if i := bytes.LastIndexByte(head[:limit+1], '\n'); i >= 0 && i+1 >= limit-limit/10 {
		return head[:i]
	}
	return head[:limit]
}

// noEmptyLine supplies the empty line that a header lacks (RFC 5322 section
// 2.1).
func (m *Message) noEmptyLine(text []byte) {
	switch m.door.params.NonEmptyEndOfHeader {
	case "reject":
		m.refuse("header", text, "5.6.0", "message header was not terminated by empty line")
	case "add_header":
		m.out.Line([]byte("MIME-Error: message header was not terminated by empty line"))
	}
	m.out.Line(nil)
}

// headerName returns the length of the name of the header that text begins
// with, or 0 if it is none. White space before the colon is let pass
// (RFC 5322 section 4.5).
func headerName(text []byte) int {
	n := 0
	for n < len(text) && text[n] > ' ' && text[n] < 0x7f && text[n] != ':' {
		n++
	}
	rest := n
	for rest < len(text) && isBlank(text[rest]) {
		rest++
	}
	if n == 0 || rest == len(text) || text[rest] != ':' {
		return 0
	}
	return n
}

// endHeader handles the logical header that was collected, line breaks within.
func (m *Message) endHeader() {
	head := *m.head
	if len(head) == 0 {
		return
	}
	m.structure(head)
	if !m.door.headerChecks.Empty() && m.checked() {
		var keep bool
		if head, keep = m.checkHeader(head); !keep {
			*m.head = (*m.head)[:0]
			return
		}
	}
	m.header(head)
	*m.head = (*m.head)[:0]
}

// header notes what the header says and writes it, rewritten where it is to be.
func (m *Message) header(head []byte) {
	n := headerName(head)
	if n == 0 {
		return
	}
	var lower [maxKnownName]byte
	var info headerInfo
	if n <= maxKnownName {
		for i, c := range head[:n] {
			if 'A' <= c && c <= 'Z' {
				c |= 0x20
			}
			lower[i] = c
		}
		info = knownHeaders[string(lower[:n])]
	}
	m.present |= info.seen
	value := head[n:]
	value = value[bytes.IndexByte(value, ':')+1:]
	switch {
	case info.seen&(seenMessageID|seenResentMessageID) != 0:
		m.messageID(info.seen, value)
	case info.received:
		if m.hops++; m.hops >= m.door.params.Common.HopcountLimit && m.err == nil {
			m.door.log.Warning("%s: message rejected: hopcount exceeded", m.ID())
			m.fail(&mail.Error{Reply: 554, Code: "5.4.0", Text: "Error: too many hops"})
		}
	case info.encoding:
		m.transferEncoding(head[n:])
	}
	if m.dropped(head[:n]) {
		return
	}
	if info.resent {
		m.resent = true
	}
	m.utf8Header(head)
	if info.role != 0 && m.rewrites() {
		head = m.rewriteHeader(head, n, value, info.role)
	}
	m.writeHeader(head)
}

func (m *Message) dropped(name []byte) bool {
	if len(m.door.drop) == 0 {
		return false
	}
	var lower [maxKnownName]byte
	if len(name) > len(lower) {
		return m.door.drop[strings.ToLower(string(name))]
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	return m.door.drop[string(lower[:len(name)])]
}

func (m *Message) utf8Header(head []byte) {
	if m.envelope.Options&mail.OptionSMTPUTF8 == 0 && !m.door.detects {
		return
	}
	if !mail.IsASCII(head) {
		m.utf8(string(head), mail.OptionUTF8Header)
	}
}

// writeHeader writes a logical header, one record for each of its lines, as much
// as header_size_limit allows. A line that rewriting made gets the tab of a
// continuation.
func (m *Message) writeHeader(head []byte) {
	head = cut(head, m.door.params.HeaderSizeLimit)
	for first := true; ; first = false {
		line, rest, more := bytes.Cut(head, []byte{'\n'})
		if !first && (len(line) == 0 || !isBlank(line[0])) {
			line = append([]byte{'\t'}, line...)
		}
		m.writeLine(line)
		if !more {
			return
		}
		head = rest
	}
}

// messageID logs the Message-ID and keeps it for threaded notices.
func (m *Message) messageID(which present, value []byte) {
	id := strings.Join(strings.Fields(string(value)), " ")
	if id == "" {
		return
	}
	if which == seenResentMessageID {
		m.door.log.Info("%s: resent-message-id=%s", m.ID(), id)
		return
	}
	m.door.log.Info("%s: message-id=%s", m.ID(), id)
	// Of a folded one the first line is kept. The attribute goes into an envelope
	// record, which holds no NUL.
	first, _, _ := strings.Cut(strings.TrimSpace(string(value)), "\n")
	m.envelope.MessageID = strings.ReplaceAll(strings.TrimSpace(first), "\x00", "?")
}

// transferEncoding takes over 8BITMIME from a field of any header, whatever the
// client said; rest begins behind the field's name. The value is taken literally, as
// by Postfix: no comment, no blank behind it.
func (m *Message) transferEncoding(rest []byte) {
	if !m.door.params.Detect8BitHeader {
		return
	}
	value := bytes.TrimLeft(rest[bytes.IndexByte(rest, ':')+1:], " \t\n")
	if bytes.EqualFold(value, []byte("8bit")) || bytes.EqualFold(value, []byte("binary")) {
		m.encoding = mail.Encoding8Bit
	}
}
