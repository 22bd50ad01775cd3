package mailbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// Message is a message as a recipient gets it: the content and what the
// delivery agent puts in front.
type Message struct {
	Sender    mail.Address // Return-Path and the `From ` line; empty: MAILER-DAEMON there
	Original  mail.Address // X-Original-To; empty: no such header
	Delivered mail.Address // Delivered-To; empty: no such header
	Arrived   time.Time    // for the `From ` line, shown in local time
	Content   record.Content
}

// Format says how a message is written.
type Format struct {
	FromLine   bool   // begin with `From sender  date`
	ReturnPath bool   // add Return-Path
	QuoteFrom  bool   // `>` in front of content lines that begin with `From `
	DotStuff   bool   // `.` in front of content lines that begin with `.`
	BlankLine  bool   // end with an empty line
	EndOfLine  string // empty: "\n"
}

// The formats of local(8) and virtual(8).
var (
	MboxFormat    = Format{FromLine: true, ReturnPath: true, QuoteFrom: true, BlankLine: true}
	MaildirFormat = Format{ReturnPath: true}
	CommandFormat = Format{FromLine: true, ReturnPath: true}
)

// SourceError says that the message itself could not be read; the destination
// is not to blame and must not keep what was written of it.
type SourceError struct{ Err error }

// Error makes *SourceError an error.
func (e *SourceError) Error() string { return "error reading message: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// Write writes the message. A *SourceError is a fault of the content, any
// other error one of w.
func (m *Message) Write(w io.Writer, f Format) error {
	eol := f.EndOfLine
	if eol == "" {
		eol = "\n"
	}
	b := bufio.NewWriterSize(w, 32<<10)
	b.WriteString(m.head(f, eol))
	if err := m.body(b, f, eol); err != nil {
		return err
	}
	if f.BlankLine {
		b.WriteString(eol)
	}
	return b.Flush()
}

// head renders what comes before the content. Addresses are quoted and cannot
// hold a line break (oneLine), so a header cannot be forged through them.
func (m *Message) head(f Format, eol string) string {
	var b bytes.Buffer
	if f.FromLine {
		from := oneLine(m.Sender)
		if from == "" {
			from = "MAILER-DAEMON"
		}
		fmt.Fprintf(&b, "From %s  %s%s", from, m.Arrived.Local().Format(time.ANSIC), eol)
	}
	if f.ReturnPath {
		fmt.Fprintf(&b, "Return-Path: <%s>%s", oneLine(m.Sender), eol)
	}
	if m.Original != "" {
		fmt.Fprintf(&b, "X-Original-To: %s%s", oneLine(m.Original), eol)
	}
	if m.Delivered != "" {
		fmt.Fprintf(&b, "Delivered-To: %s%s", oneLine(m.Delivered), eol)
	}
	return b.String()
}

// oneLine is the external form of an address without control bytes.
func oneLine(a mail.Address) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, a.Quoted())
}

func (m *Message) body(b *bufio.Writer, f Format, eol string) error {
	lines := m.Content.Lines()
	defer lines.Close()
	start := true
	for {
		line, complete, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &SourceError{Err: err}
		}
		if start && f.QuoteFrom && bytes.HasPrefix(line, []byte("From ")) {
			b.WriteByte('>')
		}
		if start && f.DotStuff && len(line) > 0 && line[0] == '.' {
			b.WriteByte('.')
		}
		if _, err := b.Write(line); err != nil {
			return err
		}
		if start = complete; complete {
			if _, err := b.WriteString(eol); err != nil {
				return err
			}
		}
	}
}
