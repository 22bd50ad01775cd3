package config

import (
	"fmt"
	"path/filepath"
)

// Override is one -o setting of a master.cf row or of a command line. Its
// value is unexpanded, without white space at its ends.
type Override struct{ Name, Value string }

// Snapshot is the configuration of one service: main.cf, the -o settings on
// top, the defaults below. It is immutable and safe for concurrent use.
type Snapshot struct {
	main      *MainFile
	catalog   *Catalog
	overrides map[string]string
	service   Service // where the overrides come from, for messages
	host      Host
}

// New makes the configuration of a service without a master.cf row, such as a
// command. Later overrides of a name win. It checks that the values of all
// built-in parameters that are set can be expanded.
func New(main *MainFile, catalog *Catalog, overrides []Override) (*Snapshot, error) {
	return NewSnapshot(main, catalog, Service{Overrides: overrides}, SystemHost())
}

// ForService makes the configuration of a master.cf row: its -o settings, and
// the built-in $service_name.
func ForService(main *MainFile, catalog *Catalog, service Service) (*Snapshot, error) {
	return NewSnapshot(main, catalog, service, SystemHost())
}

// NewSnapshot is New and ForService with the facts about the machine given.
func NewSnapshot(main *MainFile, catalog *Catalog, service Service, host Host) (*Snapshot, error) {
	s := newSnapshot(main, catalog, service, host)
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

// Unchecked is ForService without the check, for showing a configuration that
// may be broken. Use Lookup and Expand on it, which report errors.
func Unchecked(main *MainFile, catalog *Catalog, service Service) *Snapshot {
	return newSnapshot(main, catalog, service, SystemHost())
}

func newSnapshot(main *MainFile, catalog *Catalog, service Service, host Host) *Snapshot {
	s := &Snapshot{main: main, catalog: catalog, overrides: make(map[string]string), service: service, host: host}
	if service.Name != "" {
		s.overrides["service_name"] = service.Name
	}
	for _, o := range service.Overrides {
		s.overrides[o.Name] = o.Value
	}
	return s
}

// check expands every value that was set for a built-in parameter, so that a
// mistake is found at the start and not in the middle of a delivery.
func (s *Snapshot) check() error {
	level, _, err := s.Lookup("compatibility_level")
	if err != nil {
		return err
	}
	if _, err := ParseLevel(level); err != nil {
		return s.fault("compatibility_level", err.Error())
	}
	names := make([]string, 0, len(s.overrides)+len(s.main.Settings))
	for _, setting := range s.main.Effective() {
		names = append(names, setting.Name)
	}
	for _, o := range s.service.Overrides {
		names = append(names, o.Name)
	}
	for _, name := range names {
		_, builtin := s.catalog.Get(name)
		if !builtin && !hasTransportSuffix(name) {
			continue
		}
		if _, _, err := s.Lookup(name); err != nil {
			return err
		}
	}
	return nil
}

// raw returns the unexpanded value of name: -o, else main.cf, else computed
// from the machine, else the default. It is the scope of expansions.
func (s *Snapshot) raw(name string) (value string, defined bool, err error) {
	if name == "config_directory" {
		return filepath.Dir(s.main.Path), true, nil
	}
	if v, ok := s.overrides[name]; ok {
		return v, true, nil
	}
	if v, ok := s.main.Get(name); ok {
		return v.Value, true, nil
	}
	if v, ok, err := s.computed(name); ok || err != nil {
		return v, ok, err
	}
	if p, ok := s.catalog.Get(name); ok {
		return p.Default, true, nil
	}
	return "", false, nil
}

// Lookup returns the expanded value of name. defined is false for a name that
// is neither set nor built in. A raw parameter is returned unexpanded.
func (s *Snapshot) Lookup(name string) (value string, defined bool, err error) {
	value, defined, err = s.raw(name)
	if err != nil || !defined {
		return "", false, err
	}
	if p, ok := s.catalog.Get(name); ok && p.Raw {
		return value, true, nil
	}
	if value, err = expand(value, s.raw); err != nil {
		return "", false, s.fault(name, fmt.Sprintf("parameter %s: %v", name, err))
	}
	return value, true, nil
}

// Get is Lookup for names whose values were checked when the snapshot was
// made: built-in parameters and <transport>_… forms. It is also the way to a
// user's own parameters (restriction classes, table settings): one whose
// expansion fails counts as not defined.
func (s *Snapshot) Get(name string) (value string, defined bool) {
	value, defined, err := s.Lookup(name)
	return value, defined && err == nil
}

// IsSet tells whether name is set in main.cf or by -o.
func (s *Snapshot) IsSet(name string) bool {
	_, over := s.overrides[name]
	_, inMain := s.main.Get(name)
	return over || inMain
}

// Expand replaces the macros in text, such as an argument of a master.cf row.
func (s *Snapshot) Expand(text string) (string, error) { return expand(text, s.raw) }

// ExpandText replaces the macros in a text that is not a value of a parameter.
// special is asked first for each name. An undefined name is an error.
func (s *Snapshot) ExpandText(text string, special func(name string) (value string, defined bool, err error)) (string, error) {
	x := expander{strict: true, scope: func(name string) (string, bool, error) {
		if v, ok, err := special(name); ok || err != nil {
			return v, ok, err
		}
		return s.raw(name)
	}}
	return x.text(text, 0)
}

// Dir is the configuration directory.
func (s *Snapshot) Dir() string { return filepath.Dir(s.main.Path) }

// Level is the compatibility level in force.
func (s *Snapshot) Level() Level {
	text, _ := s.Get("compatibility_level")
	l, err := ParseLevel(text)
	if err != nil {
		return Level{} // not reached: check has parsed the same text
	}
	return l
}

// fault makes an error about the parameter name that says where it was set.
func (s *Snapshot) fault(name, text string) error {
	if _, ok := s.overrides[name]; ok {
		return &Error{File: s.service.File, Line: s.service.Line, Text: text}
	}
	if setting, ok := s.main.Get(name); ok {
		return &Error{File: s.main.Path, Line: setting.Line, Text: text}
	}
	return &Error{Text: text}
}

// Raw returns the value of name as it was set, or its default, unexpanded.
func (s *Snapshot) Raw(name string) (value string, defined bool, err error) { return s.raw(name) }
