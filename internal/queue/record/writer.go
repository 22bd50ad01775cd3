package record

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"time"

	"posthaste/internal/mail"
)

// digestAttribute holds the CRC-32C of the content region, in hexadecimal.
// It stands in the extracted segment, where Postfix ignores unknown names.
const digestAttribute = "posthaste_crc32c"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// flushSize is how much a Writer collects before it writes: a small message
// reaches the file in one call.
const flushSize = 64 << 10

// ErrEnvelopeText refuses NUL, CR and LF in envelope records: they could turn
// into lines of their own in a mailbox or a log (security catalogue A11).
var ErrEnvelopeText = errors.New("NUL, CR or LF in an envelope record")

// Writer writes one queue file, in order: Envelope, recipients, BeginContent,
// lines, BeginExtracted, more, End. The first error sticks and is returned by
// End. It is not safe for concurrent use.
type Writer struct {
	w        io.WriterAt
	buf      []byte
	flushed  int64 // bytes already written to w
	err      error
	maildrop bool // no size record

	dataOffset int64
	dataEnd    int64
	digest     uint32
	digestFrom int // start in buf of content bytes not yet in digest
	inContent  bool
	lastLine   bool // the last content record was Text: no unfinished line
	recipients int64
	inGroup    bool // envelope: a recipient group was begun
	mixed      bool
	notify     mail.Notify
	options    mail.Options
	warn       string
	whole      []byte // set by End
}

// NewWriter begins a queue file: the size record is reserved.
func NewWriter(w io.WriterAt) *Writer {
	f := &Writer{}
	f.Reset(w)
	return f
}

// Reset begins another queue file and keeps the buffer.
func (f *Writer) Reset(w io.WriterAt) {
	buf := f.buf[:0]
	if buf == nil {
		buf = make([]byte, 0, 8<<10)
	}
	*f = Writer{w: w, buf: buf, lastLine: true}
	f.sizeRecord(0, 0, 0, 0, 0, 0)
}

// NewMaildropWriter begins a maildrop file, which has no size record.
func NewMaildropWriter(w io.WriterAt) *Writer {
	return &Writer{w: w, buf: make([]byte, 0, 8<<10), lastLine: true, maildrop: true}
}

// Arrival writes the time of arrival, the first record of a maildrop file.
func (f *Writer) Arrival(t time.Time) {
	f.text(Time, itoa(t.Unix()), " ", itoa(int64(t.Nanosecond()/1000)))
}

// Copy writes a record as it came from a Stream.
func (f *Writer) Copy(rec Record) { f.putBytes(rec.Type, rec.Data) }

// Cap is how much memory the buffer takes.
func (f *Writer) Cap() int { return cap(f.buf) }

// Whole is the whole file when it was written in one call, else nil: a large
// one is not kept in memory. It is valid after End and until Reset.
func (f *Writer) Whole() []byte { return f.whole }

// Err is the first error so far.
func (f *Writer) Err() error { return f.err }

// Size is the length of the file so far, in bytes.
func (f *Writer) Size() int64 { return f.flushed + int64(len(f.buf)) }

// ContentSize is the length of the content region so far, in bytes.
func (f *Writer) ContentSize() int64 {
	switch {
	case f.dataEnd > 0:
		return f.dataEnd - f.dataOffset
	case f.dataOffset > 0:
		return f.Size() - f.dataOffset
	}
	return 0
}

// Recipients is how many recipients were written.
func (f *Writer) Recipients() int64 { return f.recipients }

// SetOptions sets the send options that End writes to the size record.
func (f *Writer) SetOptions(o mail.Options) { f.options = o }

// Attribute writes a named attribute. An empty value is left out, as Postfix
// leaves out items without a value.
func (f *Writer) Attribute(name, value string) {
	if value != "" {
		f.text(Attribute, name, "=", value)
	}
}

// Recipient writes a recipient with what belongs to it: notify flags, ORCPT,
// original address.
func (f *Writer) Recipient(r mail.Recipient) {
	if f.warn != "" {
		f.text(Warn, f.warn)
		f.warn = ""
	}
	f.inGroup = true
	if r.Notify != 0 {
		f.text(Attribute, "notify_flags=", itoa(int64(r.Notify)))
		f.notify |= r.Notify
	}
	if r.DSNOriginal != "" {
		f.text(Attribute, "dsn_orig_rcpt=", r.DSNOriginal)
	}
	if r.Original != "" || !f.maildrop {
		f.text(Original, string(r.Original))
	}
	f.text(Recipient, string(r.Address))
	f.recipients++
}

// BeginContent ends the envelope.
func (f *Writer) BeginContent() {
	f.put(Message, "")
	f.dataOffset = f.Size()
	f.inContent = true
	f.digestFrom = len(f.buf)
}

// Line writes a whole line, or the last part of one, without its line end.
func (f *Writer) Line(line []byte) {
	f.putBytes(Text, line)
	f.lastLine = true
}

// Fragment writes a part of a line: more of the line follows.
func (f *Writer) Fragment(part []byte) {
	f.putBytes(Fragment, part)
	f.lastLine = false
}

// BeginExtracted ends the content.
func (f *Writer) BeginExtracted() {
	if !f.lastLine {
		f.Line(nil)
	}
	f.sumContent()
	f.inContent = false
	f.dataEnd = f.Size()
	f.put(Extracted, "")
	if !f.maildrop {
		f.text(Attribute, digestAttribute, fmt.Sprintf("=%08x", f.digest))
	}
}

// Filter writes a content filter, `transport:nexthop`.
func (f *Writer) Filter(destination string) { f.text(Filter, destination) }

// Redirect writes the address that replaces all recipients.
func (f *Writer) Redirect(to mail.Address) { f.text(Redirect, string(to)) }

// End writes the end record and the final size record, and hands everything
// to the file. It returns the first error of all calls. It does not sync.
func (f *Writer) End() error {
	f.put(End, "")
	if f.maildrop {
		return f.flush()
	}
	flags := int64(f.notify) << 1
	if f.mixed {
		flags |= 1
	}
	size := f.ContentSize()
	if f.flushed == 0 { // all in memory: patch it there
		all := f.buf
		f.buf = f.buf[:0]
		f.sizeRecord(size, f.dataOffset, f.recipients, flags, size, int64(f.options))
		f.buf = all
		err := f.flush()
		f.whole = all
		return err
	}
	if err := f.flush(); err != nil {
		return err
	}
	f.buf = f.buf[:0]
	f.sizeRecord(size, f.dataOffset, f.recipients, flags, size, int64(f.options))
	if _, err := f.w.WriteAt(f.buf, 0); err != nil {
		f.err = err
	}
	f.buf = f.buf[:0]
	return f.err
}

func (f *Writer) sizeRecord(fields ...int64) {
	f.buf = append(f.buf, byte(Size), sizePayload)
	for i, v := range fields {
		if i > 0 {
			f.buf = append(f.buf, ' ')
		}
		f.buf = appendPadded(f.buf, v)
	}
}

// appendPadded appends v right-aligned to 15 columns.
func appendPadded(b []byte, v int64) []byte {
	s := itoa(v)
	for i := len(s); i < pointerPayload; i++ {
		b = append(b, ' ')
	}
	return append(b, s...)
}

// text writes an envelope record of the joined parts.
func (f *Writer) text(t Type, parts ...string) {
	for _, p := range parts {
		if strings.ContainsAny(p, "\x00\r\n") && f.err == nil {
			f.err = fmt.Errorf("%w: %s: %q", ErrEnvelopeText, t.Name(), p)
		}
	}
	if f.dataOffset == 0 && f.inGroup && !isGroup(t, parts[0]) {
		f.mixed = true
	}
	f.put(t, parts...)
}

// isGroup tells whether a record belongs to a recipient group, for the MIXED flag.
func isGroup(t Type, payload string) bool {
	switch t {
	case Recipient, Original, Done, Canceled, Killed:
		return true
	case Attribute:
		return strings.HasPrefix(payload, "notify_flags=") || strings.HasPrefix(payload, "dsn_orig_rcpt=")
	}
	return false
}

func (f *Writer) put(t Type, parts ...string) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	f.head(t, n)
	for _, p := range parts {
		f.buf = append(f.buf, p...)
	}
	f.drain()
}

func (f *Writer) putBytes(t Type, payload []byte) {
	f.head(t, len(payload))
	f.buf = append(f.buf, payload...)
	f.drain()
}

func (f *Writer) head(t Type, n int) {
	if n > maxPayload && f.err == nil {
		f.err = fmt.Errorf("record of %d bytes is too long", n)
	}
	f.buf = append(f.buf, byte(t))
	for n >= 0x80 {
		f.buf = append(f.buf, byte(n)|0x80)
		n >>= 7
	}
	f.buf = append(f.buf, byte(n))
}

func (f *Writer) drain() {
	if len(f.buf) >= flushSize {
		f.flush()
	}
}

// sumContent adds the content bytes that wait in the buffer to the digest.
func (f *Writer) sumContent() {
	if f.inContent {
		f.digest = crc32.Update(f.digest, castagnoli, f.buf[f.digestFrom:])
		f.digestFrom = len(f.buf)
	}
}

func (f *Writer) flush() error {
	f.sumContent()
	f.digestFrom = 0
	if f.err != nil {
		f.buf = f.buf[:0]
		return f.err
	}
	n, err := f.w.WriteAt(f.buf, f.flushed)
	if err != nil {
		f.err = err
	}
	f.flushed += int64(n)
	f.buf = f.buf[:0]
	return f.err
}
