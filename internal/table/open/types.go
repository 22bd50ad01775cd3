// Package open opens lookup tables by their specification `type:name`. It is
// the one place that knows the table types; it holds open files, and looks at
// them again at most once a second, so that a table which postmap or an editor
// replaced is used without a reload.
package open

import (
	"fmt"
	"slices"
	"strings"

	"posthaste/internal/table"
	"posthaste/internal/table/cidr"
	"posthaste/internal/table/environ"
	"posthaste/internal/table/fail"
	"posthaste/internal/table/hash"
	"posthaste/internal/table/inline"
	"posthaste/internal/table/nis"
	"posthaste/internal/table/pipemap"
	"posthaste/internal/table/randmap"
	"posthaste/internal/table/regexp"
	"posthaste/internal/table/static"
	"posthaste/internal/table/texthash"
	"posthaste/internal/table/unionmap"
	"posthaste/internal/table/unix"
)

// driver is how one type of table is opened.
type driver struct {
	kind table.Kind
	open func(o *Opener, name string) (table.Table, error)
	file func(name string) string // the file behind a name, to watch; nil or "": none
	asIs bool                     // keys are not folded
}

// drivers is the list of table types. proxy: is not here: it names another type.
func drivers() map[string]driver {
	return map[string]driver{
		"cidr": {kind: table.Network, file: ruleFile,
			open: func(o *Opener, name string) (table.Table, error) { return cidr.Open(name, o.opts) }},
		"environ": {asIs: true,
			open: func(*Opener, string) (table.Table, error) { return environ.Table{}, nil }},
		"fail": {
			open: func(_ *Opener, name string) (table.Table, error) { return fail.Table(name), nil }},
		"btree": {file: indexFile, open: openHash},
		"hash":  {file: indexFile, open: openHash},
		"inline": {
			open: func(o *Opener, name string) (table.Table, error) { return inline.Open(name, o.opts) }},
		"nis": {
			open: func(*Opener, string) (table.Table, error) { return nis.Table{}, nil }},
		"pipemap": {asIs: true,
			open: func(o *Opener, name string) (table.Table, error) { return pipemap.Open(name, o) }},
		"randmap": {
			open: func(_ *Opener, name string) (table.Table, error) { return randmap.Open(name) }},
		"regexp": {kind: table.Pattern, file: ruleFile,
			open: func(o *Opener, name string) (table.Table, error) { return regexp.Open(name, o.opts) }},
		"static": {
			open: func(_ *Opener, name string) (table.Table, error) { return static.Open(name) }},
		"texthash": {file: func(name string) string { return name },
			open: func(o *Opener, name string) (table.Table, error) { return texthash.Open(name, o.opts) }},
		"unionmap": {asIs: true,
			open: func(o *Opener, name string) (table.Table, error) { return unionmap.Open(name, o) }},
		"unix": {file: unixFile,
			open: func(_ *Opener, name string) (table.Table, error) { return unix.Open(name) }},
	}
}

// Types lists the names of all table types (postconf -m).
func Types() []string {
	names := []string{"proxy"}
	for name := range drivers() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func openHash(_ *Opener, name string) (table.Table, error) { return hash.Open(name) }

func indexFile(name string) string { return name + ".db" }

func ruleFile(name string) string {
	if strings.HasPrefix(name, "{") {
		return ""
	}
	return name
}

func unixFile(name string) string {
	path, _ := unix.File(name)
	return path
}

// resolve takes proxy: off a specification: tables are shared by all of a
// process, so a server that reads them for others is not needed.
func resolve(spec string, types map[string]driver) (d driver, name string, err error) {
	typ, name, err := table.SplitSpec(spec)
	for err == nil && typ == "proxy" {
		typ, name, err = table.SplitSpec(name)
	}
	if err != nil {
		return driver{}, "", err
	}
	d, ok := types[typ]
	if !ok {
		return driver{}, "", fmt.Errorf("unsupported dictionary type: %s", typ)
	}
	return d, name, nil
}
