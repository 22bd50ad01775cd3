package selection

import (
	"strconv"
	"strings"
)

// How tightly the parts of an expression bind.
const (
	bindsOr = iota
	bindsAnd
	bindsNot
)

// String is the expression in its plain form, which parses to an equal one.
func (e *Expr) String() string {
	var b strings.Builder
	e.root.print(&b, bindsOr)
	return b.String()
}

func (n anyOf) print(b *strings.Builder, within int) { join(b, n, " or ", bindsOr, within) }
func (n allOf) print(b *strings.Builder, within int) { join(b, n, " and ", bindsAnd, within) }

func join(b *strings.Builder, list []node, word string, binds, within int) {
	if within > binds {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	for i, n := range list {
		if i > 0 {
			b.WriteString(word)
		}
		n.print(b, binds+1)
	}
}

func (n negation) print(b *strings.Builder, _ int) {
	b.WriteString("not ")
	n.node.print(b, bindsNot)
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func (c *comparison) print(b *strings.Builder, _ int) {
	b.WriteString(fieldNames[c.field] + " " + c.op + " ")
	switch {
	case !c.field.number():
		b.WriteString(`"` + escape.Replace(c.text) + `"`)
	case c.field == Age:
		b.WriteString(strconv.FormatInt(c.number, 10) + "s")
	default:
		b.WriteString(strconv.FormatInt(c.number, 10))
	}
}
