// Package regexp is the regexp: table: POSIX patterns tried in order
// (regexp_table(5)), on the regular expressions of the standard library, whose
// time is linear in the subject whatever the pattern is. It reads its file when
// it is opened. Back-references in patterns are not supported.
package regexp

import (
	"context"
	"regexp"
	"strings"

	"posthaste/internal/table"
	"posthaste/internal/table/source"
)

// Table is the list of rules.
type Table struct{ rules []rule }

type rule struct {
	pattern *regexp.Regexp
	negate  bool
	block   int // for if: index of the rule after its endif; else 0
	result  template
}

// Open reads the rules from a file, or inline from `{{rule}, …}`. A rule that
// is wrong is warned about and skipped.
func Open(name string, opts table.Options) (*Table, error) {
	data, err := source.Read(name)
	if err != nil {
		return nil, err
	}
	return Parse(name, data, opts), nil
}

// Parse reads the rules; name is for warnings.
func Parse(name string, data []byte, opts table.Options) *Table {
	p := parser{name: name, opts: opts, table: &Table{}}
	for line, text := range source.Lines(name, data, opts.Warnf) {
		p.line = line
		p.add(strings.TrimRight(text, space))
	}
	for {
		line, ok := p.blocks.Open()
		if !ok {
			return p.table
		}
		p.line = line
		p.warn("IF has no matching ENDIF")
		p.endIf()
	}
}

// Lookup finds the first rule for a subject.
func (t *Table) Lookup(_ context.Context, key string) (string, bool, error) {
	subject := widen(key)
	for i := 0; i < len(t.rules); i++ {
		r := &t.rules[i]
		if r.block == 0 && !r.negate && r.result.refs {
			if groups := r.pattern.FindStringSubmatchIndex(subject); groups != nil {
				return r.result.expand(subject, groups), true, nil
			}
			continue
		}
		match := r.pattern.MatchString(subject) != r.negate
		switch {
		case r.block > 0 && !match:
			i = r.block - 1
		case r.block == 0 && match:
			return r.result.text, true, nil
		}
	}
	return "", false, nil
}
