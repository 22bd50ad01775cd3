package config

import (
	_ "embed" // the list of Postfix's parameters
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// postfixList is Postfix's built-in parameters, `name = default` per line.
//
//go:embed postfix.txt
var postfixList string

// Kind is the type of a parameter.
type Kind uint8

// The kinds of parameters, with the Go type of the field.
const (
	Text     Kind = iota // string
	Boolean              // bool
	Number               // int, int64
	Duration             // time.Duration
	List                 // []string
)

// Param is one built-in parameter.
type Param struct {
	Name        string
	Kind        Kind   // Text for those not implemented
	Default     string // unexpanded
	Unit        string // default unit of a Duration; a word such as bytes for others
	Doc         string // one-line meaning; empty for those not implemented
	Raw         bool   // the value is not expanded: its macros mean something else
	FirstLine   bool   // a value that begins with '/' is a file whose first line is the value
	Min, Max    string // bounds of a Number; empty: none
	Implemented bool   // declared in a struct; the others only have a name and a default
}

// Catalog is all built-in parameters: those that Posthaste declares in
// structs, and those of Postfix that it does not implement. It is immutable.
type Catalog struct {
	params    map[string]Param
	postfix   map[string]string
	conflicts []string
}

// rawByDesign are parameters of Postfix's list whose values hold macros of
// their own ($home, $rbl_code, …) and are expanded where they are used.
var rawByDesign = []string{
	"command_execution_directory", "default_rbl_reply", "forward_path", "luser_relay", "mailbox_command",
	"postscreen_expansion_filter", "postscreen_reject_footer", "smtpd_expansion_filter", "smtpd_reject_footer",
}

// NewCatalog reads the tags of the given structs (values or pointers, or what
// As returns) and adds Postfix's list. A parameter that two structs declare
// differently is the programmer's mistake; the first declaration is kept and
// Conflicts names it.
func NewCatalog(structs ...any) *Catalog {
	c := &Catalog{params: make(map[string]Param), postfix: make(map[string]string)}
	for line := range strings.Lines(postfixList) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, err := SplitNameValue(line)
		if err != nil {
			c.conflicts = append(c.conflicts, fmt.Sprintf("postfix.txt: %v: %q", err, line))
			continue
		}
		c.postfix[name] = value
		c.params[name] = Param{Name: name, Default: value, Raw: slices.Contains(rawByDesign, name)}
	}
	for _, s := range structs {
		rename := func(name string) string { return name }
		if a, ok := s.(aliased); ok {
			s, rename = a.params, a.rename
		}
		c.add(s, rename)
	}
	return c
}

func (c *Catalog) add(s any, rename func(string) string) {
	t := reflect.TypeOf(s)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		c.conflicts = append(c.conflicts, fmt.Sprintf("%T is not a struct", s))
		return
	}
	err := walkFields(reflect.New(t).Elem(), func(p Param, _ reflect.Value) error {
		name := rename(p.Name)
		if name == "" {
			return nil
		}
		if name != p.Name {
			// A renamed parameter keeps its own default: lmtp_tcp_port is 24.
			if own, ok := c.postfix[name]; ok {
				p.Default = own
			}
			p.Name = name
		}
		old, known := c.params[name]
		if known && old.Implemented && old != p {
			c.conflicts = append(c.conflicts, fmt.Sprintf("%s is declared twice, differently (%T)", name, s))
			return nil
		}
		c.params[name] = p
		return nil
	})
	if err != nil {
		c.conflicts = append(c.conflicts, err.Error())
	}
}

// Get returns the parameter called name.
func (c *Catalog) Get(name string) (Param, bool) {
	p, ok := c.params[name]
	return p, ok
}

// Names returns the names of all built-in parameters, sorted.
func (c *Catalog) Names() []string {
	names := make([]string, 0, len(c.params))
	for name := range c.params {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// PostfixDefault returns the default that Postfix 3.11 gives to name.
func (c *Catalog) PostfixDefault(name string) (string, bool) {
	d, ok := c.postfix[name]
	return d, ok
}

// Conflicts lists mistakes in the declarations, for a test.
func (c *Catalog) Conflicts() []string { return c.conflicts }

// aliased is a struct of parameters under another prefix.
type aliased struct {
	params any
	rename func(string) string
}

// As declares the parameters of a struct once more under another prefix, for
// NewCatalog: As(smtp.Params{}, "smtp_", "lmtp_"). Parameters without the
// prefix are left out. The counterpart for values is Snapshot.BindAs.
func As(params any, from, to string) any {
	return aliased{params, func(name string) string {
		if !strings.HasPrefix(name, from) {
			return ""
		}
		return renamed(name, from, to)
	}}
}

// renamed gives the name of a parameter under another prefix. LMTP says LHLO
// where SMTP says HELO and EHLO, and so do the names of the parameters.
func renamed(name, from, to string) string {
	rest, ok := strings.CutPrefix(name, from)
	if !ok {
		return name
	}
	if to == "lmtp_" {
		rest = strings.NewReplacer("discard_ehlo", "discard_lhlo", "helo_", "lhlo_").Replace(rest)
	}
	return to + rest
}

// walkFields calls visit for every field of v with a cf tag, also in embedded
// and nested structs.
func walkFields(v reflect.Value, visit func(Param, reflect.Value) error) error {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		name, tagged := field.Tag.Lookup("cf")
		if !tagged {
			if value.Kind() == reflect.Struct && (field.IsExported() || field.Anonymous) {
				if err := walkFields(value, visit); err != nil {
					return err
				}
			}
			continue
		}
		if !field.IsExported() {
			return fmt.Errorf("field %s with tag cf:%q is not exported", field.Name, name)
		}
		kind, err := kindOfField(field)
		if err != nil {
			return err
		}
		p := Param{
			Name: name, Kind: kind, Default: field.Tag.Get("default"), Unit: field.Tag.Get("unit"),
			Doc: field.Tag.Get("doc"), Raw: field.Tag.Get("raw") == "yes",
			FirstLine: field.Tag.Get("file") == "first-line",
			Min:       field.Tag.Get("min"), Max: field.Tag.Get("max"), Implemented: true,
		}
		if err := visit(p, value); err != nil {
			return err
		}
	}
	return nil
}

func kindOfField(f reflect.StructField) (Kind, error) {
	switch reflect.Zero(f.Type).Interface().(type) {
	case string:
		return Text, nil
	case bool:
		return Boolean, nil
	case int, int64:
		return Number, nil
	case time.Duration:
		return Duration, nil
	case []string:
		return List, nil
	}
	return Text, fmt.Errorf("field %s with tag cf:%q has a type that is not supported: %s", f.Name, f.Tag.Get("cf"), f.Type)
}
