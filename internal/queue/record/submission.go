package record

import (
	"errors"
	"io"
	"strings"

	"posthaste/internal/mail"
)

// Submission is a file in maildrop, read for pickup: its envelope, and then
// its recipients and its content in the order they stand in.
//
// Two kinds of files lie there. What a user dropped is taken with the records
// and attributes on a short list only, since any user can write them; what the
// administrator sent round again (postsuper -r) is an ordinary queue file.
type Submission struct {
	Envelope mail.Envelope
	f        io.ReaderAt
	trusted  bool
	content  int64 // offset of the content
	Content  Content
}

// Letters that an unprivileged user may drop, per segment.
var dropped = [...]string{
	InEnvelope:  "TCFSRVAMinoO",
	InContent:   "XLN",
	InExtracted: "EAR",
}

// ReadSubmission reads the envelope of a maildrop file. trusted is true for
// files that belong to the mail system. An error wraps ErrDamaged when the
// file cannot be a submission.
func ReadSubmission(f io.ReaderAt, trusted bool) (*Submission, error) {
	s := &Submission{f: f, trusted: trusted}
	p := parser{r: s.reader(0), info: &Info{}, limit: 1}
	for {
		rec, err := p.next()
		if err != nil {
			return nil, err
		}
		if !s.accepts(InEnvelope, rec.Type) {
			return nil, damaged(rec.Offset, "record %q does not belong here", rec.Type)
		}
		if rec.Type == Message {
			s.content = rec.Next
			break
		}
		if err := s.envelopeRecord(&p, rec); err != nil {
			return nil, err
		}
	}
	if !p.info.SenderKnown {
		return nil, damaged(0, "no sender")
	}
	if p.info.Arrival.IsZero() {
		return nil, damaged(0, "no arrival time")
	}
	s.Envelope = p.info.Envelope
	return s, s.skip(&p)
}

// reader begins to read records at an offset. Pointers are followed in the
// mail system's own files only.
func (s *Submission) reader(offset int64) *Reader {
	r := NewReader(s.f)
	r.MaxPayload = maxEnvelopeRecord
	r.Raw = !s.trusted
	r.Goto(offset)
	return r
}

func (s *Submission) accepts(segment Segment, t Type) bool {
	if s.trusted {
		return segment.Accepts(t)
	}
	return segment.Drops(t)
}

// Drops tells whether a user may drop a record of type t in the segment.
func (s Segment) Drops(t Type) bool { return strings.IndexByte(dropped[s], byte(t)) >= 0 }

// DropsAttribute tells whether a user may drop a named attribute.
func DropsAttribute(attribute string) bool {
	name, value, _ := strings.Cut(attribute, "=")
	switch name {
	case "envelope_id", "ret_flags", "dsn_orig_rcpt", "notify_flags":
		return true
	case "encoding":
		return value == "" || value == string(mail.Encoding7Bit) || value == string(mail.Encoding8Bit)
	case "rewrite_context":
		return value == rewriteContext(false) || value == rewriteContext(true)
	case "trace_flags":
		return value == itoa(int64(mail.TraceVerify)) || value == itoa(int64(mail.TraceRecord))
	}
	return false
}

func (s *Submission) envelopeRecord(p *parser, rec Record) error {
	switch rec.Type {
	case Size:
		v, err := sizes(rec)
		if err == nil && v[5] > 0 {
			p.info.Options = mail.Options(v[5])
		}
		return err
	case Attribute:
		if !s.allowed(string(rec.Data)) {
			return nil
		}
	case Filter, Redirect, Inspector, Warn:
		return nil // decided anew
	}
	return p.record(rec, InEnvelope)
}

// allowed tells whether an attribute may come from a user, or, for a file that
// is sent round again, is still true.
func (s *Submission) allowed(attribute string) bool {
	if !s.trusted {
		return DropsAttribute(attribute)
	}
	name, _, _ := strings.Cut(attribute, "=")
	switch strings.TrimSpace(name) {
	case "create_time", digestAttribute:
		return false
	}
	return true
}

// skip finds the end of the content, so that it can be read as Content.
func (s *Submission) skip(p *parser) error {
	r := s.reader(s.content)
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return damaged(r.Offset(), "file ends without an end record")
		}
		if err != nil {
			return err
		}
		if !s.accepts(InContent, rec.Type) {
			return damaged(rec.Offset, "record %q in the content", rec.Type)
		}
		if rec.Type != Extracted {
			continue
		}
		length := rec.Offset - s.content
		if r.Pointed() {
			length = p.info.DataSize
		}
		s.Content = Content{File: s.f, Offset: s.content, Length: length}
		return s.checkEnd(r)
	}
}

// checkEnd reads the extracted segment through to its end record.
func (s *Submission) checkEnd(r *Reader) error {
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return damaged(r.Offset(), "file ends without an end record")
		}
		if err != nil {
			return err
		}
		if !s.accepts(InExtracted, rec.Type) {
			return damaged(rec.Offset, "record %q does not belong here", rec.Type)
		}
		if rec.Type == End {
			return nil
		}
	}
}

// Recipients calls each for all recipients that are still to be done, first
// those of the envelope, then those that were found in the header.
func (s *Submission) Recipients(each func(mail.Recipient) error) error {
	if err := s.recipients(0, InEnvelope, each); err != nil {
		return err
	}
	r := s.reader(s.content)
	for {
		rec, err := r.Next()
		if err != nil {
			return err
		}
		if rec.Type == Extracted {
			return s.recipients(r.Offset(), InExtracted, each)
		}
	}
}

func (s *Submission) recipients(offset int64, segment Segment, each func(mail.Recipient) error) error {
	r := s.reader(offset)
	p := parser{r: r, info: &Info{SenderKnown: true}, limit: 1}
	for {
		rec, err := p.next()
		if err != nil {
			return err
		}
		switch rec.Type {
		case segment.Terminator():
			return nil
		case Recipient, Done, Canceled:
			p.info.Entries, p.info.Next = p.info.Entries[:0], 0
			if err := p.recipient(rec, segment); err != nil {
				return err
			}
			for _, e := range p.info.Entries {
				if err := each(e.Recipient); err != nil {
					return err
				}
			}
		case Original, DSNOrcpt, DSNNotify:
			if err := p.record(rec, segment); err != nil {
				return err
			}
		case Attribute:
			if s.allowed(string(rec.Data)) {
				if err := p.attribute(rec); err != nil {
					return err
				}
			}
		}
	}
}
