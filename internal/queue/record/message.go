package record

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"posthaste/internal/mail"
)

// Entry is one recipient in a queue file.
type Entry struct {
	mail.Recipient
	Offset int64 // where its record stands; package queue marks it there
	Done   bool  // delivered, returned or canceled
}

// Position is a place among the recipients of a file, from which ReadEntries
// goes on. It is an offset and one bit for the segment; 0 is no place.
type Position int64

func position(offset int64, s Segment) Position {
	p := Position(offset) << 1
	if s == InExtracted {
		p |= 1
	}
	return p
}

func (p Position) split() (offset int64, s Segment) {
	if p&1 != 0 {
		return int64(p >> 1), InExtracted
	}
	return int64(p >> 1), InEnvelope
}

// Info is what a queue file says besides its content.
type Info struct {
	mail.Envelope
	Entries        []Entry  // the first recipients that are still to be done
	Next           Position // where to read on for more recipients; 0: all are in Entries
	Content        Content
	DataSize       int64 // size as queue listings show it
	ContentSize    int64 // size as logged and as sent in SIZE=
	RecipientCount int64 // as the size record says
	Unfinished     int64 // recipients that are still to be done, all counted
	SenderKnown    bool
	traceAt        int64
	warnAt         int64
}

// WarnOffset is where the delay-warning record stands, or 0.
func (i *Info) WarnOffset() int64 { return i.warnAt }

// TraceOffset is where the attribute trace_flags stands, or 0.
func (i *Info) TraceOffset() int64 { return i.traceAt }

// maxEnvelopeRecord bounds a record outside the content: far more than any
// address or attribute, far less than memory.
const maxEnvelopeRecord = 1 << 20

// Read reads the envelope and the extracted segment of a finished queue file
// and checks its structure. At most limit unfinished recipients are kept
// (0: all); the others are found with ReadEntries. The error wraps ErrDamaged
// when the file is not sound.
func Read(f io.ReaderAt, limit int) (*Info, error) {
	r := NewReader(f)
	r.MaxPayload = maxEnvelopeRecord
	p := parser{r: r, info: &Info{}, limit: limit}
	if err := p.size(f); err != nil {
		return nil, err
	}
	if err := p.segment(InEnvelope); err != nil {
		return nil, err
	}
	if err := p.skipContent(); err != nil {
		return nil, err
	}
	if err := p.segment(InExtracted); err != nil {
		return nil, err
	}
	if p.info.Arrival.IsZero() {
		return nil, damaged(0, "no arrival time")
	}
	if !p.info.SenderKnown {
		return nil, damaged(0, "no sender")
	}
	p.finish()
	return p.info, nil
}

// ReadEntries reads up to limit further unfinished recipients, from an
// Info.Next or an earlier next on. The returned next is 0 at the end.
func ReadEntries(f io.ReaderAt, info *Info, next Position, limit int) (entries []Entry, after Position, err error) {
	r := NewReader(f)
	r.MaxPayload = maxEnvelopeRecord
	offset, segment := next.split()
	r.Goto(offset)
	r.pointed = true // what lies before offset is not known
	p := parser{r: r, info: &Info{Content: info.Content, SenderKnown: true}, limit: limit, quick: true}
	if segment == InEnvelope {
		if err := p.segment(InEnvelope); err != nil {
			return nil, 0, err
		}
		if p.info.Next != 0 {
			return p.info.Entries, p.info.Next, nil
		}
		if err := p.skipContent(); err != nil {
			return nil, 0, err
		}
	}
	if err := p.segment(InExtracted); err != nil {
		return nil, 0, err
	}
	return p.info.Entries, p.info.Next, nil
}

// parser reads the segments of one file.
type parser struct {
	r       *Reader
	info    *Info
	limit   int
	quick   bool // stop as soon as limit recipients are read
	pending mail.Recipient
	digest  string
}

// size reads the size record, which must come first.
func (p *parser) size(f io.ReaderAt) error {
	rec, err := p.next()
	if err != nil {
		return err
	}
	if rec.Type != Size {
		return damaged(rec.Offset, "first record is %q, not the size record", rec.Type)
	}
	v, err := sizes(rec)
	if err != nil {
		return err
	}
	if v[0] <= 0 || v[1] <= 0 || v[4] < 0 || v[2] < 0 || v[3]&^31 != 0 || v[0]+v[1] < 0 {
		return damaged(rec.Offset, "unfinished or impossible size record %q", rec.Data)
	}
	i := p.info
	i.DataSize, i.ContentSize = v[0], v[4]
	if v[4] == 0 {
		i.ContentSize = v[0]
	}
	i.RecipientCount = v[2]
	i.Options = mail.Options(v[5])
	i.Content = Content{File: f, Offset: v[1], Length: v[0]}
	return nil
}

// sizes decodes the numbers of a size record; old files have fewer than six.
func sizes(rec Record) (v [6]int64, err error) {
	fields := strings.Fields(string(rec.Data))
	if len(fields) < 3 {
		return v, damaged(rec.Offset, "size record has %d fields", len(fields))
	}
	for i := 0; i < len(fields) && i < len(v); i++ {
		if v[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return v, damaged(rec.Offset, "bad size record %q", rec.Data)
		}
	}
	return v, nil
}

// next reads a record; the end of the file is damage, since E comes first.
func (p *parser) next() (Record, error) {
	rec, err := p.r.Next()
	if errors.Is(err, io.EOF) {
		return rec, damaged(p.r.Offset(), "file ends without an end record")
	}
	return rec, err
}

// skipContent goes to the end of the content and checks that it is there.
func (p *parser) skipContent() error {
	p.r.Goto(p.info.Content.Offset + p.info.Content.Length)
	rec, err := p.next()
	if err != nil {
		return err
	}
	if rec.Type != Extracted {
		return damaged(rec.Offset, "content does not end where the size record says")
	}
	return nil
}

func (p *parser) segment(s Segment) error {
	end := s.Terminator()
	for {
		rec, err := p.next()
		if err != nil {
			return err
		}
		if rec.Type == end {
			if s == InEnvelope && p.info.Content.Offset != rec.Next && !p.r.Pointed() {
				return damaged(rec.Offset, "content does not begin where the size record says")
			}
			return nil
		}
		if !s.Accepts(rec.Type) {
			return damaged(rec.Offset, "record %q does not belong here", rec.Type)
		}
		if err := p.record(rec, s); err != nil {
			return err
		}
		if p.quick && p.info.Next != 0 {
			return nil
		}
	}
}

func (p *parser) record(rec Record, s Segment) error {
	i := p.info
	switch rec.Type {
	case Recipient, Done, Canceled:
		return p.recipient(rec, s)
	case Original:
		p.pending.Original = mail.Address(rec.Data)
	case Attribute:
		return p.attribute(rec)
	case Sender:
		i.Sender, i.SenderKnown = mail.Address(rec.Data), true
	case Time:
		return p.arrival(rec)
	case FullName:
		i.FullName = string(rec.Data)
	case Filter:
		i.ContentFilter = string(rec.Data)
	case Redirect:
		i.Redirect = mail.Address(rec.Data)
	case VERP:
		i.VERP = string(rec.Data)
	case Warn:
		p.warn(rec)
	case DSNOrcpt:
		p.pending.DSNOriginal = string(rec.Data)
	case DSNNotify:
		p.pending.Notify = notifyMask(string(rec.Data))
	}
	return nil
}

func (p *parser) recipient(rec Record, s Segment) error {
	if !p.info.SenderKnown {
		return damaged(rec.Offset, "recipient before the sender")
	}
	e := Entry{Recipient: p.pending, Offset: rec.Offset, Done: rec.Type != Recipient}
	p.pending = mail.Recipient{}
	if e.Done {
		return nil
	}
	i := p.info
	i.Unfinished++
	if i.Next != 0 {
		return nil
	}
	e.Address = mail.Address(rec.Data)
	i.Entries = append(i.Entries, e)
	if p.limit > 0 && len(i.Entries) >= p.limit {
		i.Next = position(rec.Next, s)
	}
	return nil
}

func (p *parser) attribute(rec Record) error {
	name, value, ok := strings.Cut(string(rec.Data), "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || name == "" {
		return damaged(rec.Offset, "malformed attribute %q", rec.Data)
	}
	if value == "" {
		return nil
	}
	switch name {
	case "dsn_orig_rcpt":
		p.pending.DSNOriginal = value
	case "notify_flags":
		p.pending.Notify = notifyMask(value)
	case digestAttribute:
		p.digest = value
	case "trace_flags":
		p.info.traceAt = rec.Offset
		fallthrough
	default:
		setAttribute(&p.info.Envelope, name, value)
	}
	return nil
}

func notifyMask(value string) mail.Notify {
	n, err := strconv.ParseUint(value, 10, 8)
	if err != nil || n > 15 {
		return 0
	}
	return mail.Notify(n)
}

func (p *parser) arrival(rec Record) error {
	sec, usec, _ := strings.Cut(string(rec.Data), " ")
	s, err := strconv.ParseInt(sec, 10, 64)
	if err != nil {
		return damaged(rec.Offset, "bad arrival time %q", rec.Data)
	}
	u, err := strconv.ParseInt(strings.TrimSpace(usec), 10, 64)
	if err != nil || u < 0 || u > 999999 {
		u = 0
	}
	p.info.Arrival = time.Unix(s, u*1000)
	return nil
}

// warn reads the time of the delay warning; zero or less means it was sent.
func (p *parser) warn(rec Record) {
	n, err := strconv.ParseInt(strings.TrimSpace(string(rec.Data)), 10, 64)
	switch {
	case err != nil:
	case n > 0:
		p.info.WarnAt, p.info.warnAt = time.Unix(n, 0), rec.Offset
	default:
		p.info.Warned = n < 0
	}
}

// finish derives what older files leave out.
func (p *parser) finish() {
	i := p.info
	if i.Created.IsZero() {
		i.Created = time.Unix(i.Arrival.Unix(), 0)
	}
	if i.Origin.Logged == (mail.Client{}) {
		i.Origin.Logged = i.Origin.Client
	}
	if sum, err := strconv.ParseUint(p.digest, 16, 32); err == nil && len(p.digest) == 8 {
		i.Content.Digest, i.Content.Summed = uint32(sum), true
	}
}
