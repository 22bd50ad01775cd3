package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"posthaste/internal/config"
)

// editMode is the edit that -e, -# or -X asks for, and its option.
func (p *postconf) editMode() config.EditMode {
	switch {
	case p.flags['#']:
		return config.CommentOut
	case p.flags['X']:
		return config.Exclude
	}
	return config.Replace
}

// checkEdit refuses arguments that would break the structure of a file.
func (p *postconf) checkEdit() error {
	if len(p.args) == 0 {
		if p.flags['e'] {
			return errors.New("-e requires name=value argument")
		}
		return errors.New("missing service argument")
	}
	for _, arg := range p.args {
		if strings.ContainsAny(arg, "\r\n") {
			return errors.New("-e, -X, or -# accepts no multi-line input")
		}
		if strings.HasPrefix(strings.TrimSpace(arg), "#") {
			return errors.New("-e, -X, or -# accepts no comment input")
		}
	}
	return nil
}

// editMain changes main.cf.
func (p *postconf) editMain() error {
	if err := p.checkEdit(); err != nil {
		return err
	}
	mode := p.editMode()
	var settings []config.Setting
	for _, arg := range p.args {
		name, value := strings.TrimSpace(arg), ""
		if mode == config.Replace {
			var err error
			if name, value, err = config.SplitNameValue(arg); err != nil {
				return fmt.Errorf("%w: \"%s\"", err, arg)
			}
		}
		settings = append(settings, config.Setting{Name: name, Value: value})
	}
	path := p.path("main.cf")
	return config.RewriteFile(path, func(text []byte) ([]byte, error) {
		out, repeated := config.EditMain(text, mode, settings)
		for _, name := range repeated {
			p.env.Warn("%s: multiple entries for \"%s\"", path, name)
		}
		return out, nil
	})
}

// editMaster changes rows, fields or -o settings of master.cf.
func (p *postconf) editMaster() error {
	if err := p.checkEdit(); err != nil {
		return err
	}
	path := p.path("master.cf")
	return config.RewriteFile(path, func(text []byte) ([]byte, error) {
		file, err := config.ParseMaster(path, text)
		if err != nil {
			return nil, err
		}
		var edits []config.RowEdit
		for _, arg := range p.args {
			switch p.mode {
			case 'M':
				edits, err = p.editRow(file, arg, edits)
			default:
				err = p.editPart(file, arg, &edits)
			}
			if err != nil {
				return nil, err
			}
		}
		mode := p.editMode()
		if p.mode != 'M' {
			mode = config.Replace // a row changes as a whole
		}
		return config.EditMaster(text, mode, edits), nil
	})
}

// editRow adds the edits of one argument of -Me, -M# or -MX.
func (p *postconf) editRow(file *config.MasterFile, arg string, edits []config.RowEdit) ([]config.RowEdit, error) {
	request, row, _ := strings.Cut(arg, "=")
	q, _ := parsePattern(strings.TrimSpace(request), 2)
	if len(q.parts) != 2 {
		return nil, errors.New("-Me, -MX or -M# requires service_name/type")
	}
	if p.flags['e'] {
		s, err := config.ParseService(strings.TrimSpace(row))
		if err != nil {
			return nil, err
		}
		if slices.Contains(q.parts, "*") {
			return nil, fmt.Errorf("-Me replaces one service, and accepts no wildcard: \"%s\"", request)
		}
		return append(edits, config.RowEdit{Name: q.parts[0], Type: q.parts[1], Text: config.FormatService(s, true) + "\n"}), nil
	}
	for _, s := range file.Services {
		if q.match(s.Name, s.Type) {
			edits = append(edits, config.RowEdit{Name: s.Name, Type: s.Type})
		}
	}
	return edits, nil
}

// partForm is what an argument of -Fe, -Pe or -PX must look like.
var partForm = map[byte]string{
	'F': "-Fe or -FX requires service_name/type/field_name",
	'P': "-Pe or -PX requires service_name/type/parameter",
}

// editPart adds the edits of one argument of -Fe, -Pe or -PX. Rows already
// changed by an earlier argument are changed further.
func (p *postconf) editPart(file *config.MasterFile, arg string, edits *[]config.RowEdit) error {
	request, value, _ := strings.Cut(arg, "=")
	value = strings.TrimSpace(value)
	q, _ := parsePattern(strings.TrimSpace(request), 3)
	if len(q.parts) != 3 {
		return errors.New(partForm[p.mode])
	}
	part := q.parts[2]
	if p.mode == 'F' && !slices.Contains(masterFields, part) {
		return fmt.Errorf("invalid service attribute name: \"%s\"", part)
	}
	if p.mode == 'P' && strings.ContainsAny(value, " \t\v\f") {
		return errors.New("-Pe does not accept whitespace in parameter value")
	}
	for i := range file.Services {
		s := &file.Services[i]
		if !q.match(s.Name, s.Type) {
			continue
		}
		q.matched = true
		edit := config.RowEdit{Name: s.Name, Type: s.Type}
		if err := p.changePart(s, part, value); err != nil {
			return err
		}
		edit.Text = config.FormatService(*s, true) + "\n"
		*edits = append(*edits, edit)
	}
	if !q.matched {
		p.env.Warn("unmatched service_name/type: \"%s\"", arg)
	}
	return nil
}

func (p *postconf) changePart(s *config.Service, part, value string) error {
	switch {
	case p.mode == 'F':
		return s.SetField(slices.Index(masterFields, part), value)
	case p.flags['X']:
		return s.RemoveOverride(part)
	}
	return s.SetOverride(part, value)
}
