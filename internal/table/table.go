// Package table is lookup tables as the rest of Posthaste sees them: an
// interface, lists of tables searched in order, and decorators. The types
// (hash, regexp, cidr, …) live in table/<type> and are wired by one literal map
// in package table/open; no service imports them.
package table

import "context"

// Table maps a key to a value. It is safe for concurrent use. An error is a
// failed lookup (a temporary failure for the caller), never "not found". An
// empty value that was found is reported as found.
type Table interface {
	Lookup(ctx context.Context, key string) (value string, found bool, err error)
}

// Kind tells how a table wants its keys.
type Kind uint8

// The kinds. Callers that try partial keys (user@, @domain, parent domains)
// do so only on Exact tables; a Pattern table (regexp, pcre) and a Network
// table (cidr) get the whole key once, as Postfix does.
const (
	Exact Kind = iota
	Pattern
	Network
)

// Named is an opened table with the name it was opened by (`hash:/etc/aliases`).
type Named struct {
	Table
	Name string
	Kind Kind
}

// Opener opens the table named by a specification `type:name`. Opening an
// unknown type or an unreadable file is not an error of the opener's caller:
// it yields a table whose every lookup fails with a message that names the
// table and says what to do, as Postfix does; so Opener returns no error.
// The same specification gives the same shared table.
type Opener interface {
	Open(spec string) Named
}
