package open

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"posthaste/internal/table"
)

// Opener opens tables and shares them: one specification, one table. It is
// safe for concurrent use.
type Opener struct {
	opts  table.Options
	types map[string]driver
	now   func() time.Time

	mu     sync.Mutex // guards opened; not held while a table is opened
	opened map[string]table.Named
}

// New returns an Opener.
func New(opts table.Options) *Opener {
	return &Opener{opts: opts, types: drivers(), now: time.Now, opened: make(map[string]table.Named)}
}

// Open opens a table. What cannot be opened becomes a table whose lookups
// fail, and which is tried again once a second; a warning tells at once.
func (o *Opener) Open(spec string) table.Named {
	t, err := o.get(spec)
	if err != nil {
		o.opts.Warnf("%s", err)
	}
	return t
}

// OpenNow is Open for commands: it returns the bare reason when the table
// cannot be used now.
func (o *Opener) OpenNow(spec string) (table.Named, error) {
	t, err := o.get(spec)
	return t, errors.Unwrap(err)
}

// Close closes all tables. No lookup may be under way, none may follow.
func (o *Opener) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var first error
	for _, t := range o.opened {
		if err := table.Close(t.Table); err != nil && first == nil {
			first = err
		}
	}
	clear(o.opened)
	return first
}

func (o *Opener) get(spec string) (table.Named, error) {
	o.mu.Lock()
	t, ok := o.opened[spec]
	o.mu.Unlock()
	if ok {
		return t, nil
	}
	t, err := o.open(spec)
	o.mu.Lock()
	defer o.mu.Unlock()
	if other, ok := o.opened[spec]; ok { // somebody was faster
		table.Close(t.Table)
		return other, nil
	}
	o.opened[spec] = t
	return t, err
}

func (o *Opener) open(spec string) (table.Named, error) {
	d, name, err := resolve(spec, o.types)
	if err != nil {
		err = fmt.Errorf("%s is unavailable. %w", spec, err)
		return table.Named{Table: broken{err}, Name: spec}, err
	}
	w := &watched{spec: spec, opts: o.opts, now: o.now, open: func() (table.Table, error) { return d.open(o, name) }}
	if d.file != nil {
		w.file = d.file(name)
	}
	err = w.start()
	t := table.Named{Name: spec, Kind: d.kind, Table: w}
	if c, ok := w.table.(interface{ Kind() table.Kind }); ok {
		t.Kind = c.Kind()
	}
	if d.kind == table.Exact && !d.asIs {
		t.Table = o.exact(spec, w)
	}
	return t, err
}

// exact adds what all tables with fixed keys have in common.
func (o *Opener) exact(spec string, t table.Table) table.Table {
	if !o.opts.NoFold {
		t = table.Folded(t)
	}
	if o.opts.UTF8 {
		t = checked{t, spec, o.opts}
	}
	return t
}

// broken is a table that cannot be opened, and never will be.
type broken struct{ err error }

func (b broken) Lookup(context.Context, string) (string, bool, error) { return "", false, b.err }

// checked lets only UTF-8 through, as Postfix does with smtputf8_enable.
type checked struct {
	table.Table
	spec string
	opts table.Options
}

// Lookup finds nothing for a malformed key; a malformed value is an error.
func (c checked) Lookup(ctx context.Context, key string) (string, bool, error) {
	if !utf8.ValidString(key) {
		c.opts.Warnf("%s: non-UTF-8 key \"%s\": malformed UTF-8 or invalid codepoint", c.spec, key)
		return "", false, nil
	}
	value, found, err := c.Table.Lookup(ctx, key)
	if found && err == nil && !utf8.ValidString(value) {
		return "", false, fmt.Errorf("%s: key \"%s\": non-UTF-8 value: malformed UTF-8 or invalid codepoint", c.spec, key)
	}
	return value, found, err
}

// Each passes on to the table below.
func (c checked) Each(yield func(key, value string) bool) error { return table.Each(c.Table, yield) }

// Close passes on to the table below.
func (c checked) Close() error { return table.Close(c.Table) }
