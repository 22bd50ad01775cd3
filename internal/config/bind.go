package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Bind fills the tagged fields of the struct that params points to, also of
// embedded and nested structs. The error names the file, the line, the
// parameter and the value; params is then partly filled.
func (s *Snapshot) Bind(params any) error {
	return s.bind(params, func(p Param) Param { return p })
}

// BindAs fills the same struct from the parameters of another prefix:
// BindAs(&p, "smtp_", "lmtp_") reads lmtp_helo_timeout where the tag says
// smtp_helo_timeout. Fields without the prefix are filled as by Bind.
func (s *Snapshot) BindAs(params any, from, to string) error {
	return s.bind(params, func(p Param) Param {
		p.Name = renamed(p.Name, from, to)
		if known, ok := s.catalog.Get(p.Name); ok {
			p.Default = known.Default
		}
		return p
	})
}

func (s *Snapshot) bind(params any, rename func(Param) Param) error {
	v := reflect.ValueOf(params)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("cannot bind parameters to %T: not a pointer to a struct", params)
	}
	return walkFields(v.Elem(), func(p Param, field reflect.Value) error {
		p = rename(p)
		value, err := s.valueOf(p)
		if err != nil {
			return err
		}
		if text := set(field, p, value); text != "" {
			return s.fault(p.Name, text)
		}
		return nil
	})
}

// valueOf returns the value of p for a field: expanded unless raw, and read
// from a file where the parameter allows it.
func (s *Snapshot) valueOf(p Param) (string, error) {
	raw, ok, err := s.raw(p.Name)
	if err != nil {
		return "", err
	}
	if !ok {
		raw = p.Default
	}
	if p.Raw {
		return raw, nil
	}
	value, err := expand(raw, s.raw)
	if err != nil {
		return "", s.fault(p.Name, fmt.Sprintf("parameter %s: %v", p.Name, err))
	}
	if p.FirstLine && strings.HasPrefix(value, "/") {
		return s.firstLine(p.Name, value)
	}
	return value, nil
}

// firstLine reads a value from a file (Debian's `myorigin = /etc/mailname`).
func (s *Snapshot) firstLine(name, path string) (string, error) {
	data, err := s.host.ReadFile(path)
	if err != nil {
		return "", s.fault(name, fmt.Sprintf("parameter %s: %v", name, openError(path, err)))
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if line = strings.TrimFunc(line, isSpaceRune); line == "" {
		return "", s.fault(name, fmt.Sprintf("parameter %s: file %s has no first line", name, path))
	}
	return line, nil
}

// set stores value in field and returns what is wrong with it, or "".
func set(field reflect.Value, p Param, value string) string {
	switch p.Kind {
	case Boolean:
		b, ok := ParseBool(value)
		if !ok {
			return fmt.Sprintf("bad boolean configuration: %s = %s", p.Name, value)
		}
		field.SetBool(b)
	case Number:
		n, err := strconv.ParseInt(value, 10, field.Type().Bits())
		if err != nil {
			return fmt.Sprintf("bad numerical configuration: %s = %s", p.Name, value)
		}
		if low, err := strconv.ParseInt(p.Min, 10, 64); err == nil && n < low {
			return fmt.Sprintf("invalid %s parameter value %d < %d", p.Name, n, low)
		}
		if high, err := strconv.ParseInt(p.Max, 10, 64); err == nil && n > high {
			return fmt.Sprintf("invalid %s parameter value %d > %d", p.Name, n, high)
		}
		field.SetInt(n)
	case Duration:
		d, err := ParseDuration(value, p.Unit)
		if err != nil {
			return fmt.Sprintf("parameter %s: %v", p.Name, err)
		}
		field.Set(reflect.ValueOf(time.Duration(d)))
	case List:
		field.Set(reflect.ValueOf(SplitList(value)))
	default:
		field.SetString(value)
	}
	return ""
}
