package mime

import (
	"bytes"
	"strings"
)

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

	kind, boundary string // of the header that is being read
	digest         bool   // its boundary's parts are messages by default
	message        bool   // without a type it is that of a message
}

// NewTracker makes a Tracker that stands before the message's own header.
func NewTracker(l Limits) *Tracker { return &Tracker{limits: l} }

// Place is where the next line stands.
func (t *Tracker) Place() Place { return t.place }

// Field takes a logical header, which may have line breaks. It returns false
// when that begins a multipart which is too deep, and will be text.
func (t *Tracker) Field(head []byte) bool {
	name, _, _ := bytes.Cut(head, []byte(":"))
	if !bytes.EqualFold(bytes.TrimRight(name, " \t"), []byte("content-type")) {
		return true
	}
	t.kind, t.boundary, t.digest = ContentType(head)
	if !strings.HasPrefix(t.kind, "multipart/") || t.boundary == "" {
		return true
	}
	_, ok := t.limits.Push(t.around, Boundary{})
	return ok
}

// EndHeader ends the header whose fields were told of. A message within is looked
// into whatever its transfer encoding, as by Postfix: an encoding is not allowed for
// it (RFC 2046 section 5.2.1), and one that is declared need not be true.
func (t *Tracker) EndHeader() {
	isMessage := t.kind == "message/rfc822" || t.kind == "message/global" || t.kind == "" && t.message
	t.place = Body
	switch {
	case strings.HasPrefix(t.kind, "multipart/") && t.boundary != "":
		t.around, _ = t.limits.Push(t.around, Boundary{t.boundary, t.digest})
	case isMessage:
		t.begin(NestedHeader, false)
	}
}

// Line takes a whole line of a body.
func (t *Tracker) Line(line []byte) {
	if len(t.around) == 0 || !bytes.HasPrefix(line, dashes) {
		return
	}
	switch n, last, ok := Match(t.around, line); {
	case !ok:
	case last:
		t.around = t.around[:n]
	default:
		t.around = t.around[:n+1]
		t.begin(PartHeader, t.around[n].Digest)
	}
}

func (t *Tracker) begin(p Place, message bool) {
	t.place, t.message = p, message
	t.kind, t.boundary, t.digest = "", "", false
}
