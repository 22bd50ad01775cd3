// Package selection is the language by which an administrator says which
// messages he means (postqueue --where, postsuper --where):
//
//	domain = example.com and age > 2h and not sender = <>
//
// A comparison is a field, an operator and a value. The fields sender,
// recipient, domain (of a recipient), queue, reason (of a delay), client (name
// or address) and id are text: = and != compare without regard to case, ~ and
// !~ search with a regular expression (RE2 syntax, also without regard to
// case). The fields size (bytes; k, m, g) and age (seconds; s, m, h, d, w) are
// numbers: = != < > <= >=. A message with several recipients is meant when one
// of them is; != and !~ are the opposite: no recipient is. Comparisons are joined
// by not, and, or, in that order, and by parentheses. A value with blanks,
// parentheses or quotes stands in quotes of either kind, in which a backslash
// protects a quote or a backslash.
//
// It touches nothing and imports nothing of ours, since a setgid program uses it.
package selection

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// Message is what an expression is about. Texts are as the queue listing shows
// them.
type Message struct {
	ID, Queue                 string
	Sender                    string // NullSender for the null address
	ClientName, ClientAddress string // empty for local submissions
	Size                      int64  // bytes
	Arrival                   time.Time
	Recipients                []Recipient
}

// Recipient is one of a message's recipients that are still to be done.
type Recipient struct{ Address, Reason string }

// NullSender is how listings show the null address; an expression may also have
// it as <> or "".
const NullSender = "MAILER-DAEMON"

// Field is what a comparison looks at.
type Field uint8

// The fields.
const (
	Sender Field = iota
	RecipientAddress
	Domain
	Queue
	Reason
	Client
	ID
	Size
	Age
)

// fieldNames are in the order of the fields.
var fieldNames = [...]string{"sender", "recipient", "domain", "queue", "reason", "client", "id", "size", "age"}

func (f Field) number() bool { return f == Size || f == Age }

// Expr is a parsed expression. It is safe for concurrent use.
type Expr struct{ root node }

// node is a part of an expression.
type node interface {
	match(m *Message, now time.Time) bool
	uses(f Field) bool
	print(b *strings.Builder, within int)
}

type (
	anyOf      []node
	allOf      []node
	negation   struct{ node }
	comparison struct {
		field  Field
		op     string
		text   string         // of a text field
		number int64          // bytes, or seconds
		re     *regexp.Regexp // for ~ and !~
	}
)

// Match tells whether the expression means a message; its age is that at now.
func (e *Expr) Match(m *Message, now time.Time) bool { return e.root.match(m, now) }

// Uses tells whether the expression looks at a field.
func (e *Expr) Uses(f Field) bool { return e.root.uses(f) }

func (n anyOf) match(m *Message, now time.Time) bool {
	return slices.ContainsFunc(n, func(x node) bool { return x.match(m, now) })
}

func (n allOf) match(m *Message, now time.Time) bool {
	return !slices.ContainsFunc(n, func(x node) bool { return !x.match(m, now) })
}

func (n negation) match(m *Message, now time.Time) bool { return !n.node.match(m, now) }

func (c *comparison) match(m *Message, now time.Time) bool {
	switch c.field {
	case Size:
		return c.compare(m.Size)
	case Age:
		return c.compare(int64(now.Sub(m.Arrival) / time.Second))
	}
	return c.found(m) != strings.HasPrefix(c.op, "!")
}

func (c *comparison) compare(n int64) bool {
	switch c.op {
	case "=":
		return n == c.number
	case "!=":
		return n != c.number
	case "<":
		return n < c.number
	case ">":
		return n > c.number
	case "<=":
		return n <= c.number
	}
	return n >= c.number
}

// found tells whether one of the texts of the field is meant.
func (c *comparison) found(m *Message) bool {
	switch c.field {
	case Sender:
		if m.Sender == NullSender {
			return c.equal("")
		}
		return c.equal(m.Sender)
	case Queue:
		return c.equal(m.Queue)
	case ID:
		return c.equal(m.ID)
	case Client:
		return c.equal(m.ClientName) || c.equal(m.ClientAddress)
	}
	return slices.ContainsFunc(m.Recipients, func(r Recipient) bool {
		switch c.field {
		case RecipientAddress:
			return c.equal(r.Address)
		case Domain:
			return c.equal(r.Address[strings.LastIndexByte(r.Address, '@')+1:])
		}
		return c.equal(r.Reason)
	})
}

func (c *comparison) equal(text string) bool {
	if c.re != nil {
		return c.re.MatchString(text)
	}
	want := c.text
	if c.field == Sender && (want == "<>" || want == NullSender) {
		want = ""
	}
	return strings.EqualFold(text, want)
}

func (n anyOf) uses(f Field) bool {
	return slices.ContainsFunc(n, func(x node) bool { return x.uses(f) })
}
func (n allOf) uses(f Field) bool       { return anyOf(n).uses(f) }
func (n negation) uses(f Field) bool    { return n.node.uses(f) }
func (c *comparison) uses(f Field) bool { return c.field == f }
