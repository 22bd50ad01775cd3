package intake

import (
	"math/bits"

	"posthaste/internal/mail"
)

// faults are offences against MIME, the gravest first.
type faults uint8

const (
	tooDeep         faults = 1 << iota // mime_nesting_limit
	eightBitHeader                     // strict_7bit_headers
	eightBitBody                       // strict_8bitmime_body
	invalidEncoding                    // strict_mime_encoding_domain
)

// String is the text of the gravest.
func (f faults) String() string {
	return [...]string{
		"MIME nesting exceeds safety limit",
		"improper use of 8-bit data in message header",
		"improper use of 8-bit data in message body",
		"invalid message/* or multipart/* encoding domain",
	}[bits.TrailingZeros8(uint8(f))]
}

// refusedFaults are those for which messages are refused. What is nested too deep
// is only text where nothing looks into headers of parts.
func (d *Door) refusedFaults() (f faults) {
	p := &d.params
	if p.Strict8BitMIME || p.Strict7BitHeaders {
		f |= eightBitHeader
	}
	if p.Strict8BitMIME || p.Strict8BitBody {
		f |= eightBitBody
	}
	if p.StrictEncoding {
		f |= invalidEncoding
	}
	if f != 0 || !d.headerChecks.Empty() || !d.mimeChecks.Empty() || !d.nestedChecks.Empty() {
		f |= tooDeep
	}
	return f
}

// maxLoggedFault is how much of a header or line is logged.
const maxLoggedFault = 100

// fault notes an offence and logs the first of its kind. The message is read to its
// end: header_checks and body_checks may yet decide otherwise.
func (m *Message) fault(f faults, text []byte) {
	if m.refused&f == 0 || m.faults&f != 0 || m.err != nil || m.discard {
		return
	}
	m.faults |= f
	m.door.log.Info("%s: reject: mime-error %s: %s from %s; from=<%s> to=<%s>", m.ID(), f, text[:min(len(text), maxLoggedFault)], m.client(),
		m.envelope.Sender.Quoted(), m.last.Quoted())
}

// refuseFaults refuses a message for the gravest of its faults.
func (m *Message) refuseFaults() {
	if m.faults != 0 {
		m.rejected = m.rejected || m.err == nil
		m.fail(&mail.Error{Reply: 550, Code: "5.6.0", Text: m.faults.String()})
	}
}

// structure follows a header as it came, whatever header_checks make of it.
func (m *Message) structure(head []byte) {
	if m.parts == nil {
		return
	}
	if !m.parts.Field(head) {
		m.fault(tooDeep, head)
	}
	if m.refused&eightBitHeader != 0 && !mail.IsASCII(head) {
		m.fault(eightBitHeader, head)
	}
}

// endStructure ends a header of which structure was told.
func (m *Message) endStructure(emptyLine bool) {
	if wrong := m.parts.EndHeader(emptyLine); wrong != "" {
		m.fault(invalidEncoding, []byte(wrong))
	}
}
