package address

import (
	"context"
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/table"
)

// Finder looks addresses up in tables, trying less and less of the address as
// canonical(5) and virtual(5) describe. It is safe for concurrent use.
type Finder struct {
	Delimiter Delimiter
	Origin    string // myorigin: here too a name stands for its user
	Domains   *Domains
}

// Result is what a lookup found.
type Result struct {
	Value string
	// Extension is the part of the local part that was not needed to match,
	// with its delimiter.
	Extension string
	// Bare is the address without the extension.
	Bare mail.Address
}

// Find tries user+ext@domain, user@domain, for local domains user+ext and
// user, and then @domain. Only the first key is given to tables of patterns.
func (f *Finder) Find(ctx context.Context, maps *table.Maps, a mail.Address) (Result, bool, error) {
	if maps.Empty() || a == "" {
		return Result{}, false, nil
	}
	bare, extension := f.Delimiter.splitAddress(a)
	r := Result{Bare: bare}
	ok, err := f.full(ctx, maps, a, &r)
	if ok || err != nil {
		return r, ok, err
	}
	if extension != "" {
		if ok, err = partial(ctx, maps, bare, &r); ok || err != nil {
			r.Extension = extension
			return r, ok, err
		}
	}
	local, domain := a.Split()
	at := len(local) < len(a)
	if at {
		if ok, err = f.localPart(ctx, maps, mail.Address(local), domain, extension, &r); ok || err != nil {
			return r, ok, err
		}
		r.Value, ok, err = maps.LookupPartial(ctx, string(a[len(local):]))
		r.Extension = extension
	}
	return r, ok, wrap(err)
}

// localPart tries user+ext and user, where the domain is ours.
func (f *Finder) localPart(ctx context.Context, maps *table.Maps, local mail.Address, domain, extension string, r *Result) (bool, error) {
	ours := strings.EqualFold(domain, f.Origin)
	if !ours {
		var err error
		if ours, err = f.Domains.Local(ctx, domain); !ours || err != nil {
			return false, err
		}
	}
	if ok, err := partial(ctx, maps, local, r); ok || err != nil {
		return ok, err
	}
	if extension == "" {
		return false, nil
	}
	r.Extension = extension
	return partial(ctx, maps, local[:len(local)-len(extension)], r)
}

// FindBySender tries the whole address and @domain, as the sender-dependent
// tables are searched.
func (f *Finder) FindBySender(ctx context.Context, maps *table.Maps, a mail.Address) (string, bool, error) {
	if maps.Empty() {
		return "", false, nil
	}
	var r Result
	if ok, err := f.full(ctx, maps, a, &r); ok || err != nil {
		return r.Value, ok, err
	}
	bare, extension := f.Delimiter.splitAddress(a)
	if extension != "" {
		if ok, err := partial(ctx, maps, bare, &r); ok || err != nil {
			return r.Value, ok, err
		}
	}
	at := strings.LastIndexByte(string(a), '@')
	if at < 0 {
		return "", false, nil
	}
	value, ok, err := maps.LookupPartial(ctx, string(a[at:]))
	return value, ok, wrap(err)
}

// full looks the whole address up, in external form and, where that differs,
// in the internal form that old tables hold.
func (f *Finder) full(ctx context.Context, maps *table.Maps, a mail.Address, r *Result) (ok bool, err error) {
	key := a.Quoted()
	r.Value, ok, err = maps.Lookup(ctx, key)
	if !ok && err == nil && key != string(a) {
		r.Value, ok, err = maps.Lookup(ctx, string(a))
	}
	return ok, wrap(err)
}

func partial(ctx context.Context, maps *table.Maps, a mail.Address, r *Result) (ok bool, err error) {
	key := a.Quoted()
	r.Value, ok, err = maps.LookupPartial(ctx, key)
	if !ok && err == nil && key != string(a) {
		r.Value, ok, err = maps.LookupPartial(ctx, string(a))
	}
	return ok, wrap(err)
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return temporary(err)
}
