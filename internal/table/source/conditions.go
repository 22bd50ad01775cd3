package source

// Conditions checks the nesting of if and endif in regexp and cidr tables.
type Conditions struct{ open []openIf }

type openIf struct{ rule, line int }

// If notes that the rule with this index, on this line, opens a block.
func (c *Conditions) If(rule, line int) { c.open = append(c.open, openIf{rule, line}) }

// EndIf closes the innermost block and returns the index of its if.
func (c *Conditions) EndIf() (rule int, ok bool) {
	if len(c.open) == 0 {
		return 0, false
	}
	last := c.open[len(c.open)-1]
	c.open = c.open[:len(c.open)-1]
	return last.rule, true
}

// Open returns the line of the innermost block that is still open.
func (c *Conditions) Open() (line int, ok bool) {
	if len(c.open) == 0 {
		return 0, false
	}
	return c.open[len(c.open)-1].line, true
}
