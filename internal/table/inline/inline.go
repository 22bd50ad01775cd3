// Package inline is the inline: table: its entries stand in main.cf. It
// touches nothing outside.
package inline

import (
	"context"
	"fmt"
	"strings"

	"posthaste/internal/table"
)

// Table is a table in memory.
type Table struct{ entries map[string]string }

// Open reads `{key=value, {key = value with spaces}, …}`. The last of several
// entries with one key counts.
func Open(name string, opts table.Options) (*Table, error) {
	syntax := func(text string) error {
		return fmt.Errorf("%s: \"inline:%s\"; need \"inline:{name=value...}\"", text, name)
	}
	body, err := table.Unbrace(name)
	items := table.SplitList(body)
	if err != nil || len(items) == 0 {
		return nil, syntax("bad syntax")
	}
	t := &Table{make(map[string]string)}
	for _, item := range items {
		if strings.HasPrefix(item, "{") {
			if item, err = table.Unbrace(item); err != nil {
				return nil, syntax(err.Error())
			}
		}
		key, value, ok := strings.Cut(item, "=")
		key = strings.TrimSpace(key)
		switch {
		case !ok:
			return nil, syntax("missing '=' after attribute name")
		case key == "":
			return nil, syntax("missing attribute name")
		}
		t.entries[opts.Key(key)] = strings.TrimSpace(value)
	}
	return t, nil
}

// Lookup finds a key, which must be folded if the table was.
func (t *Table) Lookup(_ context.Context, key string) (string, bool, error) {
	value, found := t.entries[key]
	return value, found, nil
}

// Each lists the entries.
func (t *Table) Each(yield func(key, value string) bool) error {
	for k, v := range t.entries {
		if !yield(k, v) {
			break
		}
	}
	return nil
}
