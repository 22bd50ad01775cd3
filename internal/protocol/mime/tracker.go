package mime

import "bytes"

// Place is where in a message a line stands.
type Place uint8

// The places.
const (
	Body         Place = iota // text, and what stands between parts
	PartHeader                // the header of a part of a multipart
	NestedHeader              // the header of a message within the message
)

// Tracker follows a message. It begins behind the message's own header, whose
// fields it was told of by Field. The caller tells of each line of a body by
// Line, and of each logical header by Field and of their end by EndHeader.
type Tracker struct {
	limits Limits
	place  Place
	around []Boundary // of the multiparts around, outermost first

	// Of the header that is being read, and then of its body.
	kind     string // empty: no type is given
	encoding string // one of those known; empty: none is given, which is 7bit
}

// NewTracker makes a Tracker that stands before the message's own header.
func NewTracker(l Limits) *Tracker { return &Tracker{limits: l} }

// Place is where the next line stands.
func (t *Tracker) Place() Place { return t.place }

// SevenBit tells, before Line, whether the next line of a body has to be without
// 8-bit bytes, by what was declared. What stands before, between and behind the parts
// of a multipart has, whatever the multipart's encoding, as with Postfix.
func (t *Tracker) SevenBit() bool { return t.encoding == "" || t.encoding == "7bit" }

// Field takes a logical header, which may have line breaks. It returns false
// when that begins a multipart which is too deep, and will be text.
func (t *Tracker) Field(head []byte) bool {
	name, _, _ := bytes.Cut(head, []byte(":"))
	switch name = bytes.TrimRight(name, " \t"); {
	case bytes.EqualFold(name, []byte("content-type")):
		return t.contentType(head)
	case bytes.EqualFold(name, []byte("content-transfer-encoding")):
		switch e := Encoding(head); e {
		case "7bit", "8bit", "binary", "base64", "quoted-printable":
			t.encoding = e
		}
	}
	return true
}

// contentType takes a Content-Type. Where a header has several, the last type
// counts, and the boundaries of all: nothing is hidden by a reader's choice.
func (t *Tracker) contentType(head []byte) bool {
	typ, ok := ContentType(head)
	if !ok {
		return true
	}
	t.kind = typ.Kind
	if !typ.Multipart() {
		return true
	}
	for _, b := range typ.Boundaries {
		if t.around, ok = t.limits.Push(t.around, Boundary{b, typ.Digest()}); !ok {
			return false
		}
	}
	return true
}

// EndHeader ends the header whose fields were told of. Without the empty line, what
// follows is text of the encoding that was declared, whatever the type. It returns an
// encoding that is not allowed for the type (RFC 2045 section 6.4, RFC 2046 section
// 5.2), or "". A message within is looked into whatever its encoding, as by Postfix:
// one that is declared need not be true.
func (t *Tracker) EndHeader(emptyLine bool) (wrong string) {
	t.place = Body
	if !t.allowed() {
		wrong = t.encoding
	}
	switch {
	case !emptyLine:
	case isMultipart(t.kind):
		t.encoding = ""
	case IsMessage(t.kind):
		t.begin(NestedHeader, "")
	}
	return wrong
}

// allowed tells whether the type may have the encoding. Of message/global and of
// types that are not known nothing is said: newer ones may be encoded.
func (t *Tracker) allowed() bool {
	encoded := t.encoding == "base64" || t.encoding == "quoted-printable"
	switch t.kind {
	case "message/rfc822":
		return !encoded
	case "message/partial", "message/external-body":
		return t.SevenBit() || encoded
	}
	return !encoded || !isMultipart(t.kind)
}

// Line takes a line of a body, or the first line_length_limit bytes of one.
func (t *Tracker) Line(line []byte) {
	if len(t.around) == 0 || !bytes.HasPrefix(line, dashes) {
		return
	}
	switch n, last, ok := Match(t.around, line); {
	case !ok:
	case last:
		t.around, t.encoding = t.around[:n], ""
	default:
		t.around = t.around[:n+1]
		kind := ""
		if t.around[n].Digest {
			kind = "message/rfc822"
		}
		t.begin(PartHeader, kind)
	}
}

// begin begins a header; kind is the type when it does not say any.
func (t *Tracker) begin(p Place, kind string) { t.place, t.kind, t.encoding = p, kind, "" }
