// Package pipemap is the pipemap: table: the value found in one table is the
// key for the next. It uses the tables it is given and nothing else.
package pipemap

import (
	"context"
	"fmt"

	"posthaste/internal/config"
	"posthaste/internal/table"
)

// Table chains tables.
type Table struct{ tables []table.Named }

// Open reads `{type:name, type:name, …}`.
func Open(name string, o table.Opener) (*Table, error) {
	body, err := table.Unbrace(name)
	specs := config.SplitList(body)
	if err != nil || len(specs) == 0 {
		return nil, fmt.Errorf("bad syntax: \"pipemap:%s\"; need \"pipemap:{type:name...}\"", name)
	}
	t := &Table{}
	for _, spec := range specs {
		t.tables = append(t.tables, o.Open(spec))
	}
	return t, nil
}

// Kind is Exact when all tables are.
func (t *Table) Kind() table.Kind { return table.Common(t.tables) }

// Lookup finds what all tables in turn find.
func (t *Table) Lookup(ctx context.Context, key string) (string, bool, error) {
	for _, part := range t.tables {
		value, found, err := part.Lookup(ctx, key)
		if err != nil || !found {
			return "", false, err
		}
		key = value
	}
	return key, true, nil
}
