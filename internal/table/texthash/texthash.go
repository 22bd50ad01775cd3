// Package texthash is the texthash: table: the source file of postmap(1), read
// whole into memory. It reads that file when it is opened and nothing later.
package texthash

import (
	"os"

	"posthaste/internal/table"
	"posthaste/internal/table/source"
)

// Open reads the file. Lines that are no entry are warned about and skipped.
func Open(path string, opts table.Options) (table.Memory, error) {
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
func Parse(name string, data []byte, opts table.Options) (table.Memory, error) {
	t := table.Memory{}
	err := source.Entries(name, data, opts.UTF8, opts.Warnf, func(e source.Entry) error {
		key := opts.Key(e.Key)
		if _, twice := t[key]; twice {
			opts.Warnf("%s, line %d: duplicate entry: \"%s\"", name, e.Line, key)
			return nil
		}
		t[key] = e.Value
		return nil
	})
	return t, err
}
