package command

import (
	"errors"
	"fmt"
	"maps"

	"posthaste/internal/config"
	"posthaste/internal/report"
)

// showTemplates shows the words of notices: with -b the texts as they are sent,
// with -t the templates (bounce(5)).
func (p *postconf) showTemplates() error {
	if len(p.args) > 1 {
		return errors.New("options -b and -t require at most one template file")
	}
	main, err := config.ReadMain(p.path("main.cf"))
	if err != nil {
		return err
	}
	snap := config.Unchecked(main, p.env.Catalog, config.Service{})
	form, _ := snap.Get("header_from_format")
	builtin := report.DefaultTemplates(form == "obsolete")
	file, _ := snap.Get("bounce_template_file")
	if len(p.args) > 0 {
		file = p.args[0]
	}
	templates := maps.Clone(builtin)
	if file == "" {
		file = "[built-in]"
	} else if err := templates.ReadFile(file, p.env.Warn); err != nil {
		return err
	}
	if p.mode == 't' {
		_, err = fmt.Fprint(p.env.Stdout, templates)
		return err
	}
	templates.Expand(file, builtin, report.Expander(snap, file, p.env.Warn), p.env.Warn)
	_, err = fmt.Fprint(p.env.Stdout, templates.Texts())
	return err
}
