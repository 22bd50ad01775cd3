// Package fail is the fail: table: every lookup is an error. It touches
// nothing outside.
package fail

import (
	"context"
	"errors"
)

// Table fails. Its text is only there to tell one such table from another.
type Table string

// Lookup returns an error.
func (t Table) Lookup(context.Context, string) (string, bool, error) {
	return "", false, errors.New("Application error")
}
