// Package address is what Postfix's trivial-rewrite(8) does, and the table
// lookups of cleanup(8): it parses addresses in headers, rewrites them to
// standard form, maps them through tables, and resolves a recipient to a
// transport and a next hop.
//
// It reads lookup tables and nothing else: no files, no network, no queue.
// Every failed lookup is a temporary failure (a *mail.Error with 451 4.3.0).
package address

import (
	"errors"

	"posthaste/internal/mail"
)

// Log takes warnings for the operator; *maillog.Logger is one.
type Log interface {
	Warning(format string, args ...any)
}

// noLog is the Log of those who give none.
type noLog struct{}

func (noLog) Warning(string, ...any) {}

// temporary wraps a failed lookup in the error all callers see.
func temporary(err error) error {
	var known *mail.Error
	if errors.As(err, &known) {
		return err
	}
	return &mail.Error{Reply: 451, Code: "4.3.0", Text: "Temporary lookup failure", Err: err}
}
