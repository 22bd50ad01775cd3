package table

import "context"

// Memory is a table in memory. It must not be written to once it is in use.
type Memory map[string]string

// Lookup finds a key, which must be folded if the table was.
func (m Memory) Lookup(_ context.Context, key string) (string, bool, error) {
	value, found := m[key]
	return value, found, nil
}

// Each lists the entries.
func (m Memory) Each(yield func(key, value string) bool) error {
	for k, v := range m {
		if !yield(k, v) {
			break
		}
	}
	return nil
}
