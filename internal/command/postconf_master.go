package command

import (
	"fmt"
	"slices"
	"strings"

	"posthaste/internal/config"
)

// masterFields are the names of the columns of master.cf, the command last.
var masterFields = []string{"service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command"}

// pattern is a request service[/type[/field]]; a part left out or `*` matches all.
type pattern struct {
	text    string
	parts   []string
	matched bool
}

// parsePattern splits a request of at most max parts. The name of a service
// may itself contain no slash here, as in Postfix.
func parsePattern(text string, most int) (*pattern, bool) {
	parts := strings.Split(text, "/")
	return &pattern{text: text, parts: parts}, len(parts) <= most
}

// match tells whether the request covers the given parts.
func (q *pattern) match(parts ...string) bool {
	for i, want := range q.parts {
		if i < len(parts) && want != "*" && want != parts[i] {
			return false
		}
	}
	return true
}

// requests parses the arguments of -M, -F or -P without an edit.
func (p *postconf) requests() ([]*pattern, error) {
	most, form := 2, "-M option requires service_name[/type]"
	switch p.mode {
	case 'F':
		most, form = 3, "-F option requires service_name[/type[/field]]"
	case 'P':
		most, form = 3, "-P option requires service_name[/type[/parameter]]"
	}
	if len(p.args) == 0 {
		return []*pattern{{parts: []string{"*"}, matched: true}}, nil
	}
	var out []*pattern
	for _, arg := range p.args {
		q, ok := parsePattern(arg, most)
		if !ok {
			return nil, fmt.Errorf("%s", form)
		}
		if p.mode == 'F' && len(q.parts) == 3 && q.parts[2] != "*" && !slices.Contains(masterFields, q.parts[2]) {
			return nil, fmt.Errorf("invalid service attribute name: \"%s\"", q.parts[2])
		}
		out = append(out, q)
	}
	return out, nil
}

// showMaster prints rows, fields or -o settings of master.cf.
func (p *postconf) showMaster(v *view) error {
	requests, err := p.requests()
	if err != nil {
		return err
	}
	wanted := func(parts ...string) bool {
		found := false
		for _, q := range requests {
			if q.match(parts...) {
				q.matched, found = true, true
			}
		}
		return found
	}
	for _, s := range v.master.Rows {
		if p.flags['x'] {
			if s, err = p.expandRow(v, s); err != nil {
				return err
			}
		}
		switch p.mode {
		case 'M':
			if wanted(s.Name, s.Type) {
				_, err = fmt.Fprintln(p.env.Stdout, config.FormatService(s, p.flags['f']))
			}
		case 'F':
			err = p.showFields(s, wanted)
		case 'P':
			err = p.showOverrides(s, wanted)
		}
		if err != nil {
			return err
		}
	}
	for _, q := range requests {
		if !q.matched {
			p.env.Warn("unmatched request: \"%s\"", q.text)
		}
	}
	return nil
}

// expandRow expands the values of a row's -o settings. The other arguments
// are left alone: their macros are the command's own (${recipient}).
func (p *postconf) expandRow(v *view, s config.Service) (config.Service, error) {
	s.Overrides = append(slices.Clone(p.overrides), s.Overrides...)
	snap := config.Unchecked(v.main, p.env.Catalog, s)
	own := s.Overrides[len(p.overrides):]
	s.Overrides = own
	for _, o := range own {
		value, err := snap.Expand(o.Value)
		if err != nil {
			return s, fmt.Errorf("%s, line %d: parameter %s: %w", s.File, s.Line, o.Name, err)
		}
		if err := s.SetOverride(o.Name, value); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (p *postconf) showFields(s config.Service, wanted func(...string) bool) error {
	for i, field := range masterFields {
		if !wanted(s.Name, s.Type, field) {
			continue
		}
		label := s.Name + "/" + s.Type + "/" + field
		if i < len(s.Fields.Columns) {
			if err := p.setting(label, s.Fields.Columns[i]); err != nil {
				return err
			}
			continue
		}
		text := config.FormatCommand(label+" = ", s, p.flags['f'])
		switch {
		case p.flags['H']:
			text = label
		case p.flags['h']:
			text = config.FormatCommand("", s, p.flags['f'])
		}
		if _, err := fmt.Fprintln(p.env.Stdout, text); err != nil {
			return err
		}
	}
	return nil
}

// showOverrides prints the -o settings of a row, sorted by name.
func (p *postconf) showOverrides(s config.Service, wanted func(...string) bool) error {
	values := make(map[string]string)
	var names []string
	for _, o := range s.Overrides {
		if _, ok := values[o.Name]; !ok {
			names = append(names, o.Name)
		}
		values[o.Name] = o.Value
	}
	slices.Sort(names)
	for _, name := range names {
		if !wanted(s.Name, s.Type, name) {
			continue
		}
		if err := p.setting(s.Name+"/"+s.Type+"/"+name, values[name]); err != nil {
			return err
		}
	}
	return nil
}
