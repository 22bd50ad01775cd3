package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of one expansion. Real values stay far below; the limits turn a loop
// or an explosion into an error.
const (
	maxNesting   = 100     // names inside names
	maxMacros    = 100_000 // names looked up
	maxExpansion = 4 << 20 // bytes of the result
)

// scope finds the unexpanded value of a name. defined is false for a name
// nobody set and that has no default; it then stands for the empty text.
type scope func(name string) (value string, defined bool, err error)

// expander is one expansion.
type expander struct {
	scope  scope
	strict bool // a plain $name that is not defined is an error
	macros int
	size   int
}

// expand replaces the macros in text. Errors are worded as Postfix's.
func expand(text string, s scope) (string, error) {
	if strings.IndexByte(text, '$') < 0 {
		return text, nil
	}
	return (&expander{scope: s}).text(text, 0)
}

func (x *expander) text(text string, depth int) (string, error) {
	e, err := parseExpression(text)
	if err != nil {
		return "", err
	}
	return x.parts(e, depth)
}

func (x *expander) parts(e expression, depth int) (string, error) {
	var out strings.Builder
	for _, p := range e {
		text := p.literal
		if p.macro != nil {
			var err error
			if text, err = x.macro(p.macro, depth); err != nil {
				return "", err
			}
		}
		if x.size += len(text); x.size > maxExpansion {
			return "", fmt.Errorf("expansion is larger than %d bytes", maxExpansion)
		}
		out.WriteString(text)
	}
	return out.String(), nil
}

func (x *expander) macro(m *macro, depth int) (string, error) {
	if x.macros++; x.macros > maxMacros {
		return "", fmt.Errorf("more than %d macro calls", maxMacros)
	}
	if m.op != "" {
		yes, err := x.compare(m, depth)
		if err != nil {
			return "", err
		}
		if m.then == nil && m.otherwise == nil {
			if yes {
				return "true", nil
			}
			return "", nil
		}
		return x.branch(m, yes, depth)
	}
	if depth >= maxNesting {
		return "", fmt.Errorf("unreasonable macro call nesting: \"%s\"", m.name)
	}
	raw, defined, err := x.scope(m.name)
	if err != nil {
		return "", err
	}
	if m.then == nil && m.otherwise == nil {
		if !defined && x.strict {
			return "", fmt.Errorf("undefined $name: %s", m.name)
		}
		return x.text(raw, depth+1)
	}
	// The test is on the value as written: `${a?x}` is x when a = $b, even
	// when b is empty.
	return x.branch(m, raw != "", depth)
}

// branch expands the branch of m that was chosen; a branch not given is empty.
func (x *expander) branch(m *macro, yes bool, depth int) (string, error) {
	chosen := m.otherwise
	if yes {
		chosen = m.then
	}
	if chosen == nil {
		return "", nil
	}
	return x.parts(*chosen, depth)
}

func (x *expander) compare(m *macro, depth int) (bool, error) {
	left, err := x.parts(m.left, depth)
	if err != nil {
		return false, err
	}
	right, err := x.parts(m.right, depth)
	if err != nil {
		return false, err
	}
	if op, ok := strings.CutSuffix(m.op, "level"); ok {
		l, err := ParseLevel(left)
		if err != nil {
			return false, err
		}
		r, err := ParseLevel(right)
		if err != nil {
			return false, err
		}
		return holds(op, l.Compare(r)), nil
	}
	return holds(m.op, compareText(left, right)), nil
}

// compareText compares as numbers when both are all digits, else as text.
func compareText(a, b string) int {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	if errX != nil || errY != nil {
		return strings.Compare(a, b)
	}
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// holds tells whether `a op b` when comparing a with b gave order.
func holds(op string, order int) bool {
	switch op {
	case "==":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}
