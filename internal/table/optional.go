package table

import (
	"errors"
	"io"
)

// Lister is a table whose entries can be listed (postmap -s).
type Lister interface {
	// Each calls yield for every entry, in no order in particular, until
	// yield returns false.
	Each(yield func(key, value string) bool) error
}

// ErrNotListable is the error of Each for a table that cannot list itself.
var ErrNotListable = errors.New("sequence operation is not supported")

// Each lists t, or returns ErrNotListable.
func Each(t Table, yield func(key, value string) bool) error {
	if l, ok := t.(Lister); ok {
		return l.Each(yield)
	}
	return ErrNotListable
}

// Close closes t if it is an io.Closer.
func Close(t Table) error {
	if c, ok := t.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Options say how tables are opened. The zero value is what most of Posthaste wants.
type Options struct {
	Warn     Warn // nil: warnings are dropped
	UTF8     bool // keys and values of exact tables must be UTF-8 (smtputf8_enable)
	NoFold   bool // keep the case of keys (postmap -f)
	NoRegSub bool // refuse rules with $1 (alias_maps: local(8) must not run what a sender writes)
}

// Warnf reports a warning to o.Warn, if there is one.
func (o Options) Warnf(format string, args ...any) {
	if o.Warn != nil {
		o.Warn(format, args...)
	}
}

// Key is the form in which an exact table holds a key.
func (o Options) Key(key string) string {
	if o.NoFold {
		return key
	}
	return Fold(key)
}

// Common is the kind of a table made of others: Exact if all of them are.
func Common(tables []Named) Kind {
	for _, t := range tables {
		if t.Kind != Exact {
			return Pattern
		}
	}
	return Exact
}
