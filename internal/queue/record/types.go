// Package record is the queue-file format of Postfix 3.x: records of a type
// letter, a length and a payload. It is the only place that knows the letters.
// It reads and writes bytes through io.ReaderAt and io.WriterAt and touches no
// directory; which file is meant, and when it is durable, is package queue's
// business.
package record

import (
	"errors"
	"fmt"
)

// Type is the letter of a record.
type Type byte

// The record types that occur in files.
const (
	Size       Type = 'C' // sizes and flags, first record, fixed width
	Time       Type = 'T' // arrival time, "SEC USEC"
	FullName   Type = 'F'
	Inspector  Type = 'I' // legacy content_inspector
	Filter     Type = 'L' // envelope and extracted: content filter; content: see Fragment
	Sender     Type = 'S'
	Attribute  Type = 'A' // name=value
	Warn       Type = 'W' // time of the delay warning
	VERP       Type = 'V'
	Original   Type = 'O' // original recipient of the next recipient record
	Recipient  Type = 'R'
	Done       Type = 'D' // a Recipient that needs no more delivery
	Canceled   Type = '/' // a Recipient that was taken back
	Killed     Type = 'K' // a record to ignore
	Message    Type = 'M' // ends the envelope
	Text       Type = 'N' // content: end of a line
	Fragment   Type = 'L' // content: part of a line
	Padding    Type = 'w'
	Pointer    Type = 'p' // go on at another offset
	Extracted  Type = 'X' // ends the content
	Redirect   Type = '>'
	Receipt    Type = 'r' // legacy
	ErrorsTo   Type = 'e' // legacy
	Priority   Type = 'P' // legacy
	DSNReturn  Type = '<' // pseudo types that very old files hold
	DSNEnvID   Type = 'i'
	DSNOrcpt   Type = 'o'
	DSNNotify  Type = 'n'
	End        Type = 'E'
	CreateTime Type = 'c' // pseudo type, never in files: attribute create_time
)

// Limits of the format.
const (
	maxLengthBytes   = 4
	maxPayload       = 1<<28 - 1
	maxBackwardJumps = 10000
	sizePayload      = 95
	pointerPayload   = 15
)

// ErrDamaged says that a file is not a complete and sound queue file. Errors
// of this package wrap it with the offset and the reason; an I/O error does
// not wrap it, since reading again may succeed.
var ErrDamaged = errors.New("damaged queue file")

func damaged(offset int64, format string, args ...any) error {
	return fmt.Errorf("%w: offset %d: %s", ErrDamaged, offset, fmt.Sprintf(format, args...))
}

// Name is the name that postcat prints for a record type.
func (t Type) Name() string {
	if n, ok := names[t]; ok {
		return n
	}
	return "unknown_record_type"
}

var names = map[Type]string{
	Size: "message_size", Time: "message_arrival_time", FullName: "sender_fullname",
	Inspector: "content_inspector", Filter: "content_filter", Sender: "sender",
	Attribute: "named_attribute", Warn: "warning_message_time", VERP: "verp_delimiters",
	Original: "original_recipient", Recipient: "recipient", Done: "done_recipient",
	Canceled: "canceled_recipient", Killed: "killed_record", Message: "message_content",
	Text: "regular_text", Padding: "padding", Pointer: "pointer_record",
	Extracted: "extracted_info", Redirect: "redirect_to", Receipt: "return_receipt",
	ErrorsTo: "errors_to", Priority: "priority", DSNReturn: "dsn_return_flags",
	DSNEnvID: "dsn_envelope_id", DSNOrcpt: "dsn_original_recipient",
	DSNNotify: "dsn_notify_flags", End: "message_end", CreateTime: "queue_file_create_time",
	'f': "flags", // on sockets of Postfix only
}

// Segment is one of the three parts of a queue file.
type Segment uint8

// The segments, in order.
const (
	InEnvelope Segment = iota
	InContent
	InExtracted
)

// accepted lists the letters a reader takes in each segment. Padding is
// tolerated everywhere when reading, since every Postfix reader but qmgr does.
var accepted = [...]string{
	InEnvelope:  "MCTcFILSDRO/WVA>K<ionpw",
	InContent:   "XLNpw",
	InExtracted: "EDRO/PreAFIL>Konpw",
}

// Accepts tells whether a record of type t may stand in the segment.
func (s Segment) Accepts(t Type) bool {
	for i := 0; i < len(accepted[s]); i++ {
		if accepted[s][i] == byte(t) {
			return true
		}
	}
	return false
}

// Terminator is the record that ends the segment.
func (s Segment) Terminator() Type {
	return [...]Type{InEnvelope: Message, InContent: Extracted, InExtracted: End}[s]
}
