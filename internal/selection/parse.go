package selection

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Error is what is wrong with an expression.
type Error struct {
	Column int // of the byte where it is wrong, from 1
	Text   string
}

func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Text) }

// maxDepth bounds how deeply an expression may be nested.
const maxDepth = 100

// Parse reads an expression. The error is an *Error.
func Parse(text string) (*Expr, error) {
	p := &parser{text: text}
	root, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(text) {
		if text[p.at] == ')' {
			return nil, p.fail(p.at, "there is no ( for this )")
		}
		return nil, p.fail(p.at, "expected and, or, or the end, not %s", p.next())
	}
	return &Expr{root}, nil
}

// parser reads from text[at:].
type parser struct {
	text string
	at   int
}

func (p *parser) fail(at int, format string, args ...any) *Error {
	return &Error{at + 1, fmt.Sprintf(format, args...)}
}

// or reads comparisons that are joined by or, and what binds tighter.
func (p *parser) or(depth int) (node, error) {
	list, err := p.joined("or", depth, p.and, func(n node) []node { inner, _ := n.(anyOf); return inner })
	if err != nil || len(list) == 1 {
		return first(list), err
	}
	return anyOf(list), nil
}

func (p *parser) and(depth int) (node, error) {
	list, err := p.joined("and", depth, p.unary, func(n node) []node { inner, _ := n.(allOf); return inner })
	if err != nil || len(list) == 1 {
		return first(list), err
	}
	return allOf(list), nil
}

func first(list []node) node {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// joined reads a list of what next reads, joined by a word. A part that is such
// a list itself, in parentheses, becomes a part of this one.
func (p *parser) joined(word string, depth int, next func(int) (node, error), parts func(node) []node) (list []node, err error) {
	for {
		n, err := next(depth)
		if err != nil {
			return nil, err
		}
		if inner := parts(n); inner != nil {
			list = append(list, inner...)
		} else {
			list = append(list, n)
		}
		if !p.keyword(word) {
			return list, nil
		}
	}
}

// unary reads a comparison, or one in parentheses or behind not.
func (p *parser) unary(depth int) (node, error) {
	p.space()
	begin := p.at
	if depth > maxDepth {
		return nil, p.fail(begin, "nested too deeply")
	}
	if p.keyword("not") {
		n, err := p.unary(depth + 1)
		if err != nil {
			return nil, err
		}
		return negation{n}, nil
	}
	if !strings.HasPrefix(p.text[p.at:], "(") {
		return p.comparison()
	}
	p.at++
	n, err := p.or(depth + 1)
	if err != nil {
		return nil, err
	}
	if p.space(); !strings.HasPrefix(p.text[p.at:], ")") {
		if p.at < len(p.text) {
			return nil, p.fail(p.at, "expected and, or, or ), not %s", p.next())
		}
		return nil, p.fail(begin, "there is no ) for this (")
	}
	p.at++
	return n, nil
}

// operators are those of text and of numbers; longer ones come first.
var operators = [...]string{"!=", "!~", "<=", ">=", "=", "~", "<", ">"}

func (p *parser) comparison() (node, error) {
	begin := p.at
	name := p.letters()
	field := slices.Index(fieldNames[:], strings.ToLower(name))
	if field < 0 {
		return nil, p.fail(begin, "expected a field (%s), not %s", strings.Join(fieldNames[:], ", "), p.shown(name))
	}
	c := &comparison{field: Field(field)}
	p.space()
	begin = p.at
	for _, op := range operators {
		if strings.HasPrefix(p.text[p.at:], op) {
			c.op = op
			break
		}
	}
	allowed := "= != ~ !~"
	if c.field.number() {
		allowed = "= != < > <= >="
	}
	if c.op == "" || !slices.Contains(strings.Fields(allowed), c.op) {
		if c.op == "" {
			return nil, p.fail(begin, "expected an operator of %s (%s), not %s", fieldNames[field], allowed, p.next())
		}
		return nil, p.fail(begin, "%s has no operator %s (it has %s)", fieldNames[field], c.op, allowed)
	}
	p.at += len(c.op)
	p.space()
	begin = p.at
	value, err := p.value()
	if err != nil {
		return nil, err
	}
	if err := c.setValue(value); err != nil {
		return nil, p.fail(begin, "%s", err)
	}
	return c, nil
}

func (c *comparison) setValue(value string) (err error) {
	switch {
	case c.field == Size:
		c.number, err = number(value, sizeUnits, 1, "a size: bytes, or with k, m or g")
	case c.field == Age:
		c.number, err = number(value, ageUnits, 1, "an age: seconds, or with s, m, h, d or w")
	case strings.HasSuffix(c.op, "~"):
		c.text = value
		if c.re, err = regexp.Compile("(?i)" + value); err != nil {
			if _, own := regexp.Compile(value); own != nil {
				err = own // it shows what the user wrote
			}
		}
	default:
		c.text = value
	}
	return err
}

var (
	sizeUnits = map[byte]int64{'k': 1 << 10, 'm': 1 << 20, 'g': 1 << 30}
	ageUnits  = map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 7 * 86400}
)

// number reads a number with a unit.
func number(value string, units map[byte]int64, unit int64, what string) (int64, error) {
	digits := value
	if n := len(value); n > 0 {
		if u, found := units[value[n-1]|0x20]; found {
			digits, unit = value[:n-1], u
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is not %s", value, what)
	}
	return int64(n) * unit, nil
}
