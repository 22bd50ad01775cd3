// Package texthash is the texthash: table: the source file of postmap(1), read
// whole into memory. It reads that file when it is opened and nothing later.
package texthash

import (
	"context"
	"os"

	"posthaste/internal/table"
	"posthaste/internal/table/source"
)

// Table is a table in memory.
type Table struct{ entries map[string]string }

// Open reads the file. Lines that are no entry are warned about and skipped.
func Open(path string, opts table.Options) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, table.FileError("open database "+path, err)
	}
	defer f.Close()
	data, err := source.ReadAll(path, f)
	if err != nil {
		return nil, err
	}
	return Parse(path, data, opts)
}

// Parse reads the text of a file; name is for messages.
func Parse(name string, data []byte, opts table.Options) (*Table, error) {
	t := &Table{make(map[string]string)}
	err := source.Entries(name, data, opts.UTF8, opts.Warnf, func(e source.Entry) error {
		key := opts.Key(e.Key)
		if _, twice := t.entries[key]; twice {
			opts.Warnf("%s, line %d: duplicate entry: \"%s\"", name, e.Line, key)
			return nil
		}
		t.entries[key] = e.Value
		return nil
	})
	return t, err
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
