package config

import (
	"fmt"
	"slices"
	"strings"
)

// Class tells where the name of a parameter comes from.
type Class uint8

// The classes of names, as postconf -C selects them.
const (
	Builtin     Class = 1 << iota // has a fixed name
	PerService                    // <transport>_… of a master.cf row
	UserDefined                   // used by a value, a restriction class or a table
)

// Finding is one setting, or one mention of a name, worth a warning.
type Finding struct {
	File        string // main.cf or master.cf
	Line        int
	Name, Value string
	Default     string // of a setting that is not implemented: what is in force
}

// Findings are what is worth a warning, main.cf first, then master.cf.
type Findings struct {
	Unused         []Finding // set, but nothing uses the name: often a typing error
	Undefined      []Finding // $name used, but neither set nor built in
	NotImplemented []Finding // known from Postfix, not implemented, set to another value than the default
	Comments       []Finding // a '#' after other text: it is part of the value, not a comment
}

// Warnings words all findings as lines for the log, in Postfix's words where
// it has some.
func (f Findings) Warnings() []string {
	var out []string
	add := func(list []Finding, text func(Finding) string) {
		for _, finding := range list {
			out = append(out, fmt.Sprintf("%s, line %d: %s", finding.File, finding.Line, text(finding)))
		}
	}
	add(f.Undefined, func(f Finding) string { return "undefined parameter: " + f.Name })
	add(f.Unused, func(f Finding) string { return "unused parameter: " + f.Name + "=" + f.Value })
	add(f.Comments, func(f Finding) string { return "#comment after other text is not allowed: " + f.Name + " = " + f.Value })
	add(f.NotImplemented, func(f Finding) string {
		return fmt.Sprintf("parameter %s is not implemented; the setting %q is ignored (default: %q)", f.Name, f.Value, f.Default)
	})
	return out
}

// Usage is what a configuration makes of its names.
type Usage struct {
	Findings
	classes    map[string]Class
	perService map[string]string
}

// Class returns the class of name, 0 when the name is not known.
func (u *Usage) Class(name string) Class { return u.classes[name] }

// Names returns the known names of the given classes, sorted.
func (u *Usage) Names(classes Class) []string {
	var out []string
	for name, class := range u.classes {
		if class&classes != 0 {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// ServiceDefault returns the default of a PerService name.
func (u *Usage) ServiceDefault(name string) (string, bool) {
	d, ok := u.perService[name]
	return d, ok
}

// analysis is the work of Analyse.
type analysis struct {
	usage   *Usage
	catalog *Catalog
	main    *MainFile
}

// Analyse finds out which names of main.cf and of the -o settings are in use.
// master may be nil. overrides are those of a command line (postconf -o); they
// count as settings of main.cf. Names of Postfix that are no longer built in
// are in use when a default mentions them (virtual_maps).
func Analyse(catalog *Catalog, main *MainFile, master *MasterFile, overrides []Override) *Usage {
	a := &analysis{
		usage:   &Usage{classes: make(map[string]Class), perService: make(map[string]string)},
		catalog: catalog,
		main:    withOverrides(main, overrides),
	}
	for _, name := range catalog.Names() {
		a.usage.classes[name] = Builtin
	}
	var services []Service
	if master != nil {
		services = master.Services
	}
	for _, s := range services {
		for _, d := range serviceParams(s.Command) {
			name := s.Name + d.suffix
			if a.usage.classes[name] == 0 {
				a.usage.classes[name] = PerService
				a.usage.perService[name] = "$" + d.fallback
			}
		}
	}
	a.findUserNames()
	var inMain, inMaster Findings
	for _, s := range services {
		a.service(s, &inMaster)
	}
	a.mainFile(&inMain) // last: a row of master.cf may use a name of main.cf
	a.usage.Findings = Findings{
		Unused:         append(inMain.Unused, inMaster.Unused...),
		Undefined:      append(inMain.Undefined, inMaster.Undefined...),
		NotImplemented: append(inMain.NotImplemented, inMaster.NotImplemented...),
		Comments:       inMain.Comments,
	}
	return a.usage
}

// withOverrides returns main with command-line settings added.
func withOverrides(main *MainFile, overrides []Override) *MainFile {
	if len(overrides) == 0 {
		return main
	}
	m := &MainFile{Path: main.Path, Settings: slices.Clone(main.Settings), last: make(map[string]int)}
	for _, o := range overrides {
		m.Settings = append(m.Settings, Setting{Name: o.Name, Value: o.Value})
	}
	for i, s := range m.Settings {
		m.last[s.Name] = i
	}
	return m
}

// references are the names a text mentions; a text that cannot be parsed
// mentions none (its error is reported where it is expanded).
func references(text string) []string {
	var names []string
	if e, err := parseExpression(text); err == nil {
		e.references(func(name string) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		})
	}
	return names
}

// use notes that main.cf's name is used.
func (a *analysis) use(name string) {
	if _, set := a.main.Get(name); set && a.usage.classes[name] == 0 {
		a.usage.classes[name] = UserDefined
	}
}

// findUserNames finds the users of names that are not built in.
func (a *analysis) findUserNames() {
	for _, name := range a.catalog.Names() {
		p, _ := a.catalog.Get(name)
		if !p.Raw {
			for _, ref := range references(p.Default) {
				a.use(ref)
			}
		}
	}
	for _, s := range a.main.Effective() {
		if p, ok := a.catalog.Get(s.Name); ok && p.Raw {
			continue
		}
		for _, ref := range references(s.Value) {
			a.use(ref)
		}
	}
	for _, class := range SplitList(a.expand("smtpd_restriction_classes", nil)) {
		a.use(class)
	}
	for _, s := range a.main.Effective() {
		if a.usage.classes[s.Name] != Builtin {
			continue
		}
		for _, name := range tableSettings(a.expand(s.Name, nil)) {
			a.use(name)
		}
	}
}

// expand expands a setting as far as it can be; local are -o settings.
func (a *analysis) expand(name string, local map[string]string) string {
	scope := func(name string) (string, bool, error) {
		if v, ok := local[name]; ok {
			return v, true, nil
		}
		if s, ok := a.main.Get(name); ok {
			return s.Value, true, nil
		}
		p, ok := a.catalog.Get(name)
		return p.Default, ok, nil
	}
	raw, _, err := scope(name)
	if err != nil {
		return ""
	}
	text, err := expand(raw, scope)
	if err != nil {
		return ""
	}
	return text
}

// service judges the -o settings of one row. A name set there is local: a
// mention of it in the same row is a use of that one and not of main.cf's.
func (a *analysis) service(s Service, out *Findings) {
	local := make(map[string]string)
	for _, o := range s.Overrides {
		local[o.Name] = o.Value
	}
	used := make(map[string]bool)
	for _, o := range s.Overrides {
		for _, ref := range references(o.Value) {
			if _, ok := local[ref]; ok {
				used[ref] = true
				continue
			}
			a.use(ref)
			a.undefined(out, ref, s.File, s.Line)
		}
	}
	for name := range local {
		if a.usage.classes[name] == Builtin {
			for _, setting := range tableSettings(a.expand(name, local)) {
				used[setting] = true
				a.use(setting)
			}
		}
	}
	if _, ok := local["smtpd_restriction_classes"]; ok {
		for _, class := range SplitList(a.expand("smtpd_restriction_classes", local)) {
			used[class] = true
			a.use(class)
		}
	}
	for _, o := range s.Overrides {
		finding := Finding{File: s.File, Line: s.Line, Name: o.Name, Value: o.Value}
		if a.usage.classes[o.Name] == 0 && !used[o.Name] {
			out.Unused = append(out.Unused, finding)
		}
		a.implemented(out, finding)
	}
}

// mainFile judges the settings of main.cf, when all users are known.
func (a *analysis) mainFile(out *Findings) {
	for _, s := range a.main.Effective() {
		finding := Finding{File: a.main.Path, Line: s.Line, Name: s.Name, Value: s.Value}
		if a.usage.classes[s.Name] == 0 {
			out.Unused = append(out.Unused, finding)
		}
		if words := fields(s.Value); slices.ContainsFunc(words[min(1, len(words)):], startsComment) {
			out.Comments = append(out.Comments, finding)
		}
		a.implemented(out, finding)
		if p, ok := a.catalog.Get(s.Name); ok && p.Raw {
			continue
		}
		for _, ref := range references(s.Value) {
			a.undefined(out, ref, a.main.Path, s.Line)
		}
	}
}

func startsComment(word string) bool { return word[0] == '#' }

// undefined reports a mention of a name that has no value anywhere.
func (a *analysis) undefined(out *Findings, name, file string, line int) {
	if _, set := a.main.Get(name); set || a.usage.classes[name] != 0 || mentionedByDefault(a.catalog, name) || computedName(name) {
		return
	}
	for _, f := range out.Undefined {
		if f.Name == name && f.File == file {
			return
		}
	}
	out.Undefined = append(out.Undefined, Finding{File: file, Line: line, Name: name})
}

func computedName(name string) bool { return name == "process_id" || name == "process_name" }

// mentionedByDefault tells whether name is a legacy name: not built in, but
// honoured because a default refers to it.
func mentionedByDefault(c *Catalog, name string) bool {
	for _, p := range c.params {
		if strings.Contains(p.Default, name) && slices.Contains(references(p.Default), name) {
			return true
		}
	}
	return false
}

// implemented reports a setting that Posthaste does not act upon. A setting
// that repeats the default changes nothing and is not reported.
func (a *analysis) implemented(out *Findings, f Finding) {
	p, ok := a.catalog.Get(f.Name)
	if !ok || p.Implemented || strings.Join(fields(p.Default), " ") == strings.Join(fields(f.Value), " ") {
		return
	}
	f.Default = p.Default
	out.NotImplemented = append(out.NotImplemented, f)
}
