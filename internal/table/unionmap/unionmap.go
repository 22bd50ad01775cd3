// Package unionmap is the unionmap: table: the results of several tables for
// one key, joined by commas. It uses the tables it is given and nothing else.
package unionmap

import (
	"context"
	"fmt"
	"strings"

	"posthaste/internal/config"
	"posthaste/internal/table"
)

// Table asks all tables.
type Table struct{ tables []table.Named }

// Open reads `{type:name, type:name, …}`.
func Open(name string, o table.Opener) (*Table, error) {
	body, err := table.Unbrace(name)
	specs := config.SplitList(body)
	if err != nil || len(specs) == 0 {
		return nil, fmt.Errorf("bad syntax: \"unionmap:%s\"; need \"unionmap:{type:name...}\"", name)
	}
	t := &Table{}
	for _, spec := range specs {
		t.tables = append(t.tables, o.Open(spec))
	}
	return t, nil
}

// Kind is Exact when all tables are.
func (t *Table) Kind() table.Kind { return table.Common(t.tables) }

// Lookup joins what is found. The error of one table is an error of the whole.
func (t *Table) Lookup(ctx context.Context, key string) (string, bool, error) {
	var values []string
	for _, part := range t.tables {
		value, found, err := part.Lookup(ctx, key)
		if err != nil {
			return "", false, err
		}
		if found {
			values = append(values, value)
		}
	}
	return strings.Join(values, ","), len(values) > 0, nil
}
