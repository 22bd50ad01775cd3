// Package cidr is the cidr: table: networks and addresses of both families,
// tried in order (cidr_table(5)). It reads its file when it is opened.
package cidr

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"posthaste/internal/table"
	"posthaste/internal/table/source"
)

// Table is the list of rules.
type Table struct{ rules []rule }

type rule struct {
	network netip.Prefix
	negate  bool
	block   int // for if: index of the rule after its endif; else 0
	result  string
}

// Open reads the rules from a file, or inline from `{{rule}, …}`. A rule that
// is wrong is warned about and skipped.
func Open(name string, opts table.Options) (*Table, error) {
	data, err := source.Read(name)
	if err != nil {
		return nil, err
	}
	return Parse(name, data, opts.Warnf), nil
}

// Parse reads the rules; name is for warnings.
func Parse(name string, data []byte, warn table.Warn) *Table {
	t := &Table{}
	var blocks source.Conditions
	for line, text := range source.Lines(name, data, warn) {
		if err := t.add(line, strings.TrimSpace(text), &blocks); err != nil {
			warn("cidr map %s, line %d: %s: skipping this rule", name, line, err)
		}
	}
	for {
		line, ok := blocks.Open()
		if !ok {
			return t
		}
		warn("cidr map %s, line %d: IF has no matching ENDIF", name, line)
		i, _ := blocks.EndIf()
		t.rules[i].block = len(t.rules)
	}
}

func (t *Table) add(line int, text string, blocks *source.Conditions) error {
	word, rest := cutWord(text)
	switch strings.ToLower(word) {
	case "endif":
		i, ok := blocks.EndIf()
		if !ok {
			return fmt.Errorf("ENDIF without IF")
		}
		t.rules[i].block = len(t.rules)
		return nil
	case "if":
		r, err := parsePattern(rest)
		if err != nil {
			return err
		}
		blocks.If(len(t.rules), line)
		t.rules = append(t.rules, r)
		return nil
	}
	if strings.Trim(word, "!") == "" { // `! pattern`
		next, after := cutWord(rest)
		word, rest = word+next, after
	}
	r, err := parsePattern(word)
	switch {
	case err != nil:
		return err
	case rest == "":
		return fmt.Errorf("no lookup result")
	}
	r.result = rest
	t.rules = append(t.rules, r)
	return nil
}

func cutWord(text string) (word, rest string) {
	if i := strings.IndexAny(text, " \t\r\n\v\f"); i >= 0 {
		return text[:i], strings.TrimSpace(text[i:])
	}
	return text, ""
}

func parsePattern(text string) (r rule, err error) {
	for strings.HasPrefix(text, "!") {
		r.negate = !r.negate
		text = strings.TrimSpace(text[1:])
	}
	if text == "" {
		return r, fmt.Errorf("no address pattern")
	}
	r.network, err = table.ParseNetwork(text)
	return r, err
}

// matches tells whether the rule applies. A negated network says nothing
// about addresses of the other family.
func (r *rule) matches(addr netip.Addr) bool {
	return r.network.Addr().Is4() == addr.Is4() && r.network.Contains(addr) != r.negate
}

// Lookup finds the first rule for an address. A key that is no address is not found.
func (t *Table) Lookup(_ context.Context, key string) (string, bool, error) {
	addr, err := netip.ParseAddr(key)
	if err != nil {
		return "", false, nil
	}
	addr = addr.WithZone("")
	for i := 0; i < len(t.rules); i++ {
		r := &t.rules[i]
		match := r.matches(addr)
		switch {
		case r.block > 0 && !match:
			i = r.block - 1
		case r.block == 0 && match:
			return r.result, true, nil
		}
	}
	return "", false, nil
}
