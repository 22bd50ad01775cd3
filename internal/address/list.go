package address

import (
	"strings"

	"posthaste/internal/mail"
)

// Mailbox is one address found in a header or in a table's value.
type Mailbox struct {
	Address mail.Address
	// Quoted says that the local part was written as a quoted string: then
	// routing operators in it are text.
	Quoted bool
}

// List is the parsed value of an address header: addresses between phrases,
// comments and groups. Nothing of the text is lost except what lies beyond the
// token limit, source routes, and white space.
type List struct{ nodes []node }

type nodeKind uint8

const (
	nodeWord nodeKind = iota // part of a phrase, or a comment
	nodeAddress
	nodeOperator // < > , ; and : that begins a group
)

type node struct {
	kind nodeKind
	text string
	box  Mailbox
}

// ParseList reads the value of a header with at most limit tokens. It never
// fails: what it does not understand it leaves as text.
func ParseList(text string, limit int) *List {
	p := listParser{tokens: scan(text, limit)}
	for p.at < len(p.tokens) {
		p.step()
	}
	p.flush()
	return &List{p.nodes}
}

// ParseAddresses returns the addresses in a text of external form, such as a
// table's value or a header.
func ParseAddresses(text string, limit int) []Mailbox {
	return ParseList(text, limit).Mailboxes()
}

// Mailboxes returns the addresses in their order.
func (l *List) Mailboxes() []Mailbox {
	var boxes []Mailbox
	for i := range l.nodes {
		if l.nodes[i].kind == nodeAddress {
			boxes = append(boxes, l.nodes[i].box)
		}
	}
	return boxes
}

// Replace passes every address through f. It tells whether one changed. It
// stops at the first error.
func (l *List) Replace(f func(Mailbox) (mail.Address, error)) (changed bool, err error) {
	for i := range l.nodes {
		n := &l.nodes[i]
		if n.kind != nodeAddress {
			continue
		}
		to, err := f(n.box)
		if err != nil {
			return changed, err
		}
		if to != n.box.Address {
			n.box = Mailbox{Address: to, Quoted: n.box.Quoted && to.Local() == n.box.Address.Local()}
			n.text = external(n.box)
			changed = true
		}
	}
	return changed, nil
}

// Append writes the list in external form, with a line break after each
// comma where a header may be folded.
func (l *List) Append(b []byte) []byte {
	for i := range l.nodes {
		n := &l.nodes[i]
		b = append(b, n.text...)
		switch {
		case n.kind == nodeOperator && n.text == ",":
			b = append(b, '\n')
		case i+1 < len(l.nodes) && l.spaceBetween(n, &l.nodes[i+1]):
			b = append(b, ' ')
		}
	}
	return b
}

func (l *List) spaceBetween(n, next *node) bool {
	if next.kind == nodeOperator {
		return next.text == "<"
	}
	return n.kind != nodeOperator || n.text == ":" || n.text == ">"
}

// listParser turns tokens into nodes in one pass.
type listParser struct {
	tokens  []token
	at      int
	pending []token // words that belong to a phrase or to a bare address
	nodes   []node
}

func (p *listParser) step() {
	t := p.tokens[p.at]
	p.at++
	switch {
	case t.is(','), t.is(';'):
		p.flush()
		p.emit(t.text)
	case t.is(':') && len(p.pending) > 0 && p.pending[0].is('@'):
		p.pending = p.pending[:0] // a source route in front of a bare address
	case t.is(':'):
		p.phrase()
		p.emit(":")
	case t.is('<'):
		p.route()
	default:
		p.pending = append(p.pending, t)
	}
}

func (p *listParser) emit(op string) {
	p.nodes = append(p.nodes, node{kind: nodeOperator, text: op})
}

// comma adds a missing comma behind an address.
func (p *listParser) comma() {
	for i := len(p.nodes) - 1; i >= 0; i-- {
		n := &p.nodes[i]
		switch {
		case n.kind == nodeWord && strings.HasPrefix(n.text, "("):
			continue
		case n.kind == nodeAddress, n.text == ">" && n.kind == nodeOperator:
			p.emit(",")
		}
		return
	}
}

// phrase makes the pending tokens text. Tokens without white space between
// them are one word, so `Q.` stays as it is.
func (p *listParser) phrase() {
	for i, t := range p.pending {
		if i > 0 && !t.space {
			p.nodes[len(p.nodes)-1].text += t.external()
			continue
		}
		p.nodes = append(p.nodes, node{text: t.external()})
	}
	p.pending = p.pending[:0]
}

// route reads `<address>` behind its '<', the pending tokens being the phrase.
func (p *listParser) route() {
	if len(p.pending) > 0 || len(p.nodes) > 0 {
		p.comma()
	}
	p.phrase()
	p.emit("<")
	var words, comments []token
	for p.at < len(p.tokens) {
		t := p.tokens[p.at]
		p.at++
		if t.is('>') {
			break
		}
		if t.kind == comment {
			comments = append(comments, t)
		} else {
			words = append(words, t)
		}
	}
	p.address(dropRoute(words))
	p.emit(">")
	for _, c := range comments {
		p.nodes = append(p.nodes, node{text: c.text})
	}
}

// dropRoute cuts off a source route `@a,@b:` (RFC 5321 section 4.1.1.3).
func dropRoute(words []token) []token {
	if len(words) == 0 || !words[0].is('@') {
		return words
	}
	for i, t := range words {
		if t.is(':') && i+1 < len(words) {
			return words[i+1:]
		}
	}
	return words
}

// flush makes the pending tokens bare addresses. Two words in a row without
// an operator between them are two addresses, as Postfix has it.
func (p *listParser) flush() {
	words, comments := p.pending[:0:0], p.pending[:0:0]
	end := func() {
		if len(words) > 0 {
			p.comma()
			p.address(words)
		}
		for _, c := range comments {
			p.nodes = append(p.nodes, node{text: c.text})
		}
		words, comments = words[:0], comments[:0]
	}
	for _, t := range p.pending {
		switch {
		case t.kind == comment:
			comments = append(comments, t)
			continue
		case t.word() && len(words) > 0 && words[len(words)-1].word():
			end()
		}
		words = append(words, t)
	}
	end()
	p.pending = p.pending[:0]
}

// address makes one address of its tokens.
func (p *listParser) address(words []token) {
	var b strings.Builder
	at, isQuoted := -1, false
	for i, t := range words {
		if i > 0 && t.word() && words[i-1].word() {
			b.WriteByte(' ')
		}
		if t.is('@') {
			at = i
		}
		b.WriteString(t.text)
	}
	for i, t := range words {
		if t.kind == quoted && (at < 0 || i < at) {
			isQuoted = true
		}
	}
	a := b.String()
	if a == "@" { // a lone @ is the empty address
		a = ""
	}
	text := original(words, a)
	if text == "" && len(words) > 0 {
		text = `""` // it must stay an address when the header is written anew
	}
	box := Mailbox{Address: mail.Address(a), Quoted: isQuoted}
	p.nodes = append(p.nodes, node{kind: nodeAddress, text: text, box: box})
}

// original writes the tokens of an address as they came.
func original(words []token, plain string) string {
	for _, t := range words {
		if t.kind == quoted {
			var b strings.Builder
			for i, t := range words {
				if i > 0 && t.word() && words[i-1].word() {
					b.WriteByte(' ')
				}
				b.WriteString(t.external())
			}
			return b.String()
		}
	}
	return plain
}

// external writes an address, with quotes where it had them or needs them.
func external(box Mailbox) string {
	if !box.Quoted {
		return box.Address.Quoted()
	}
	local, domain := box.Address.Split()
	if domain == "" {
		return quoteString(local)
	}
	return quoteString(local) + "@" + domain
}
