package smtp

import (
	"bytes"
	"strings"

	"posthaste/internal/protocol/mime"
)

// downgrader converts 8-bit MIME content to 7 bits for a server without
// 8BITMIME (RFC 6152 section 3): parts declared 8bit or binary become
// quoted-printable; multipart and message entities around them become 7bit.
// Content without such a declaration goes through as it is, and so do 8-bit
// bytes in headers, for which there is no general conversion.
type downgrader struct {
	out        lineWriter
	limits     mime.Limits
	state      mimeState
	boundaries []mime.Boundary // of the multiparts around the current line, outermost first
	midLine    bool            // the line goes on from the call before

	// The header being read.
	line     []byte // the current line as far as it was received
	field    string // which of the two fields of interest the lines belong to, or ""
	held     []byte // Content-Transfer-Encoding as it came, lines ended by LF
	kind     []byte // text of Content-Type
	encoding string // lower case; empty: not given
	digest   bool   // default type of parts is message/rfc822

	qp quotedPrintable
}

type mimeState uint8

const (
	mimeHeader mimeState = iota
	mimePlain            // body that goes through, preamble, epilogue
	mimeEncode           // body that becomes quoted-printable
)

const (
	// maxHeaderLine is how much of a header line is looked at.
	maxHeaderLine = 8 << 10
	contentType   = "content-type"
	transferEnc   = "content-transfer-encoding"
)

func newDowngrader(out lineWriter, limits mime.Limits) *downgrader {
	return &downgrader{out: out, limits: limits, qp: quotedPrintable{out: out}}
}

// Write takes a part of a line. A part that begins a line but does not end it
// must hold what tells lines apart, some hundred bytes, as queue files do.
func (d *downgrader) Write(part []byte, complete bool) error {
	start := !d.midLine
	d.midLine = !complete
	if d.state == mimeHeader {
		return d.header(part, complete, start)
	}
	if start && complete && len(d.boundaries) > 0 && bytes.HasPrefix(part, []byte("--")) {
		if n, last, ok := mime.Match(d.boundaries, part); ok {
			return d.delimiter(part, n, last)
		}
	}
	if d.state == mimeEncode {
		return d.qp.Write(part, complete)
	}
	return d.out.Write(part, complete)
}

// End finishes a header without body, and the content.
func (d *downgrader) End() error {
	if d.state == mimeHeader {
		if err := d.endField(); err != nil {
			return err
		}
	}
	if d.state == mimeEncode && d.midLine {
		if err := d.qp.Write(nil, true); err != nil {
			return err
		}
	}
	return d.out.End()
}

// delimiter begins the next part of multipart n, or ends that multipart.
func (d *downgrader) delimiter(line []byte, n int, last bool) error {
	if last {
		d.boundaries = d.boundaries[:n]
		d.state = mimePlain
	} else {
		d.boundaries = d.boundaries[:n+1]
		d.beginHeader(d.boundaries[n].Digest)
	}
	return d.out.Write(line, true)
}

func (d *downgrader) beginHeader(digest bool) {
	d.state, d.field, d.digest = mimeHeader, "", digest
	d.line, d.held, d.kind, d.encoding = d.line[:0], d.held[:0], d.kind[:0], ""
}

// header handles a line, or part of one, of a header. The start of a line
// decides what the line is; the two fields of interest are collected.
func (d *downgrader) header(part []byte, complete, start bool) error {
	if start {
		d.line = d.line[:0]
		if len(part) == 0 && complete {
			return d.endHeader()
		}
		if c := first(part); c != ' ' && c != '\t' {
			if err := d.endField(); err != nil {
				return err
			}
			name, _, ok := bytes.Cut(part, []byte(":"))
			if !ok { // no header line: the body begins without an empty line
				return d.headerless(part, complete)
			}
			d.field = strings.ToLower(string(bytes.TrimRight(name[:min(len(name), 40)], " \t")))
		}
	}
	d.line = append(d.line, part[:min(len(part), max(maxHeaderLine-len(d.line), 0))]...)
	if d.field == transferEnc {
		if complete {
			d.held = append(append(d.held, d.line...), '\n')
			d.line = d.line[:0]
		}
		return nil
	}
	if d.field == contentType && complete && len(d.kind) < maxHeaderLine {
		d.kind = append(append(d.kind, d.line...), ' ')
	}
	return d.out.Write(part, complete)
}

func first(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

// headerless ends a header at a line that is none.
func (d *downgrader) headerless(part []byte, complete bool) error {
	t, _ := mime.ContentType(d.kind)
	if err := d.chooseBody(t); err != nil {
		return err
	}
	if err := d.out.Write(nil, true); err != nil {
		return err
	}
	d.midLine = false
	return d.Write(part, complete)
}

// endField passes a Content-Transfer-Encoding on unless it has to be replaced.
func (d *downgrader) endField() error {
	if d.field != transferEnc || len(d.held) == 0 {
		return nil
	}
	d.encoding = mime.Encoding(d.held)
	held := d.held
	d.held = d.held[:0]
	if d.isEightBit() {
		return nil
	}
	for line := range bytes.SplitSeq(bytes.TrimSuffix(held, []byte("\n")), []byte("\n")) {
		if err := d.out.Write(line, true); err != nil {
			return err
		}
	}
	return nil
}

func (d *downgrader) isEightBit() bool { return d.encoding == "8bit" || d.encoding == "binary" }

// endHeader goes over to the body after the empty line.
func (d *downgrader) endHeader() error {
	if err := d.endField(); err != nil {
		return err
	}
	nested := d.encoding
	t, _ := mime.ContentType(d.kind)
	if err := d.chooseBody(t); err != nil {
		return err
	}
	if err := d.out.Write(nil, true); err != nil {
		return err
	}
	if d.state == mimePlain && d.isMessage(t) && nested != "base64" && nested != "quoted-printable" {
		d.beginHeader(false)
	}
	return nil
}

func (d *downgrader) isMessage(t mime.Type) bool {
	return mime.IsMessage(t.Kind) || t.Kind == "" && d.digest
}

// chooseBody decides what happens to the body of the entity of type t whose header
// ends, and says so in that header.
func (d *downgrader) chooseBody(t mime.Type) error {
	d.state = mimePlain
	composite := d.isMessage(t) || t.Multipart()
	if t.Multipart() {
		for _, b := range t.Boundaries {
			d.boundaries, _ = d.limits.Push(d.boundaries, mime.Boundary{Text: b, Digest: t.Digest()})
		}
	}
	switch {
	case !d.isEightBit():
		return nil
	case composite:
		return d.out.Write([]byte("Content-Transfer-Encoding: 7bit"), true)
	}
	d.state = mimeEncode
	return d.out.Write([]byte("Content-Transfer-Encoding: quoted-printable"), true)
}
