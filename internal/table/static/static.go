// Package static is the static: table: every key has the same value. It
// touches nothing outside.
package static

import (
	"context"
	"fmt"
	"strings"

	"posthaste/internal/table"
)

// Table gives its text for every key.
type Table string

// Open reads `value` or `{value with spaces}`.
func Open(name string) (Table, error) {
	if !strings.HasPrefix(name, "{") {
		return Table(name), nil
	}
	text, err := table.Unbrace(name)
	if err != nil {
		return "", fmt.Errorf("bad static:name syntax: %w", err)
	}
	return Table(text), nil
}

// Lookup always finds.
func (t Table) Lookup(context.Context, string) (string, bool, error) {
	return string(t), true, nil
}
