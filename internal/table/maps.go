package table

import (
	"context"
	"fmt"

	"posthaste/internal/config"
)

// Maps is a list of tables searched in order, as a main.cf parameter
// `…_maps` gives it. The first table that knows the key answers. The zero of
// *Maps (nil) is an empty list. Maps implements Table.
type Maps struct {
	title  string
	tables []Named
}

// NewMaps opens the tables of a list. title is the parameter's name; errors
// of lookups begin with it.
func NewMaps(o Opener, title, list string) *Maps {
	m := &Maps{title: title}
	for _, spec := range config.SplitList(list) {
		m.tables = append(m.tables, o.Open(spec))
	}
	return m
}

// Empty tells whether the list has no table.
func (m *Maps) Empty() bool { return m == nil || len(m.tables) == 0 }

// Title is the name the list was made with.
func (m *Maps) Title() string { return m.title }

// Tables returns the tables in their order; it must not be changed.
func (m *Maps) Tables() []Named {
	if m == nil {
		return nil
	}
	return m.tables
}

// Lookup searches all tables with the whole key.
func (m *Maps) Lookup(ctx context.Context, key string) (string, bool, error) {
	return m.search(ctx, key, func(Kind) bool { return true })
}

// LookupPartial searches with a part of a key (user, @domain, a parent
// domain): only exact tables see it.
func (m *Maps) LookupPartial(ctx context.Context, key string) (string, bool, error) {
	return m.search(ctx, key, func(k Kind) bool { return k == Exact })
}

func (m *Maps) search(ctx context.Context, key string, want func(Kind) bool) (string, bool, error) {
	for _, t := range m.Tables() {
		if !want(t.Kind) {
			continue
		}
		value, found, err := t.Lookup(ctx, key)
		switch {
		case err != nil:
			return "", false, fmt.Errorf("%s: %s: %w", m.title, t.Name, err)
		case found && value == "":
			// Postfix takes this for a broken table, not for "not found".
			return "", false, fmt.Errorf("%s: %s: lookup of %q returns an empty string result", m.title, t.Name, key)
		case found:
			return value, true, nil
		}
	}
	return "", false, nil
}
