package command

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// minBuffer is the least that is read at a time.
const minBuffer = 4 << 10

// maxRecipientText bounds the headers that -t keeps: some million addresses.
const maxRecipientText = 64 << 20

// messageReader copies a message from standard input to postdrop, and finds
// recipients in its header.
type messageReader struct {
	in      *bufio.Reader
	w       *record.Writer
	limit   int    // line_length_limit
	endings string // sendmail_fix_line_endings
	allDots bool
	extract bool

	lines    int  // whole lines so far
	stripCR  bool // CR LF ends a line
	partial  bool // the line before is not finished
	started  bool // past lines like "From …" of a mailbox file
	inHeader bool // only with extract

	seen   bool          // there was a header
	kept   int           // bytes in to and resent
	header *bytes.Buffer // where the text of the current header goes; nil: nowhere
	to     bytes.Buffer  // values of To, Cc, Bcc, each behind a NUL
	resent bytes.Buffer  // values of Resent-To, -Cc, -Bcc
	buf    []byte        // of the current line
}

// read copies the message up to its end: end of input, or a line with one dot,
// finished or not.
func (m *messageReader) read() error {
	m.inHeader = m.extract
	m.stripCR = m.endings == "always"
	for {
		part, whole, err := m.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("error reading input: %s", errnoText(err))
		}
		if !m.partial && len(part) == 1 && part[0] == '.' && !m.allDots {
			return nil
		}
		if err := m.take(part, whole); err != nil {
			return err
		}
		if m.w.Err() != nil {
			return nil // postdrop has gone or refuses; its answer says why
		}
	}
}

// next returns a line without its end, or a part of one that is too long.
func (m *messageReader) next() (part []byte, whole bool, err error) {
	part = m.buf[:0]
	defer func() { m.buf = part[:0:cap(part)] }()
	for len(part) < m.limit {
		b, err := m.in.ReadByte()
		if err == io.EOF && len(part) > 0 {
			return part, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		if b == '\n' {
			return m.fix(part), true, nil
		}
		part = append(part, b)
	}
	return part, false, nil
}

// fix removes the CR of a line end, as sendmail_fix_line_endings says: strict
// does so when the first line ended in one.
func (m *messageReader) fix(line []byte) []byte {
	cr := bytes.HasSuffix(line, []byte("\r"))
	if m.lines == 0 && m.endings == "strict" {
		m.stripCR = cr
	}
	m.lines++
	if cr && m.stripCR {
		line = line[:len(line)-1]
	}
	return line
}

func (m *messageReader) take(part []byte, whole bool) error {
	fresh := !m.partial
	m.partial = !whole
	if !m.started && fresh {
		if bytes.HasPrefix(part, []byte("From ")) || bytes.HasPrefix(part, []byte(">From ")) {
			return m.skip(whole)
		}
		m.started = true
	}
	if m.inHeader && fresh {
		m.headerLine(part)
	} else if m.inHeader {
		m.keep(part)
	}
	if m.kept > maxRecipientText {
		return errors.New("unable to extract recipients: message header length exceeds safety limit")
	}
	if whole {
		m.w.Line(part)
	} else {
		m.w.Fragment(part)
	}
	return nil
}

// skip drops the rest of a line.
func (m *messageReader) skip(whole bool) error {
	for !whole {
		var err error
		if _, whole, err = m.next(); err != nil {
			m.partial = false
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
	m.partial = false
	return nil
}

// headerLine looks at the beginning of a line while in the header. The first
// line that is none begins the body, behind an empty line of ours.
func (m *messageReader) headerLine(line []byte) {
	if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') && m.seen {
		m.keep([]byte("\n"))
		m.keep(line)
		return
	}
	name, value, ok := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !ok || len(name) == 0 || bytes.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		m.inHeader = false
		if len(line) > 0 {
			m.w.Line(nil)
		}
		return
	}
	m.header, m.seen = nil, true
	switch strings.ToLower(string(name)) {
	case "to", "cc", "bcc":
		m.header = &m.to
	case "resent-to", "resent-cc", "resent-bcc":
		m.header = &m.resent
	default:
		return
	}
	m.keep([]byte{0})
	m.keep(value)
}

// keep adds text to the current header. A NUL of the message is not kept: it
// separates headers here.
func (m *messageReader) keep(text []byte) {
	if m.header == nil {
		return
	}
	if len(text) > 1 {
		text = bytes.ReplaceAll(text, []byte{0}, nil)
	}
	m.kept += len(text)
	m.header.Write(text)
}

// recipients are those in the header: of the Resent- headers, when there was
// one (RFC 5322 section 3.6.6), else of the others.
func (m *messageReader) recipients() []mail.Address {
	text := &m.to
	if m.resent.Len() > 0 {
		text = &m.resent
	}
	var list []mail.Address
	for value := range strings.SplitSeq(text.String(), "\x00") {
		list = append(list, parse(value)...)
	}
	return slices.DeleteFunc(list, func(a mail.Address) bool { return a == "" }) // `To: <>` is nobody
}
