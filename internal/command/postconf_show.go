package command

import (
	"fmt"

	"posthaste/internal/config"
)

// view is a configuration to be shown.
type view struct {
	main   *config.MainFile
	master *config.MasterFile // nil when there is none
	snap   *config.Snapshot
	usage  *config.Usage
}

// load reads both files. A master.cf that is not there matters only to those
// who want to see it.
func (p *postconf) load() (*view, error) {
	v := &view{}
	var err error
	if v.main, err = config.ReadMain(p.path("main.cf")); err != nil {
		return nil, err
	}
	for _, w := range v.main.Warnings {
		p.env.Warn("%s", w)
	}
	v.master, err = config.ReadMaster(p.path("master.cf"))
	switch {
	case err == nil:
		for _, w := range v.master.Warnings {
			p.env.Warn("%s", w)
		}
	case p.mode == 'p' && config.IsNotExist(err):
		p.env.Warn("%v", err)
	default:
		return nil, err
	}
	v.usage = config.Analyse(p.env.Catalog, v.main, v.master, p.overrides)
	v.snap = config.Unchecked(v.main, p.env.Catalog, config.Service{Overrides: p.overrides})
	return v, nil
}

// findings prints what looks like a mistake in the files that were shown: with
// -M, -F and -P that is master.cf only. -q keeps it quiet.
func (p *postconf) findings(v *view) {
	if p.flags['q'] {
		return
	}
	shown := func(f config.Finding) bool { return p.mode == 'p' || f.File != v.main.Path }
	for _, f := range v.usage.Undefined {
		if shown(f) {
			p.env.Warn("%s: undefined parameter: %s", f.File, f.Name)
		}
	}
	for _, f := range v.usage.Unused {
		if shown(f) {
			p.env.Warn("%s: unused parameter: %s=%s", f.File, f.Name, f.Value)
		}
	}
	for _, f := range v.usage.Comments {
		if shown(f) {
			p.env.Warn("%s: #comment after other text is not allowed: %s = %s", f.File, f.Name, f.Value)
		}
	}
}

// showMain prints parameters of main.cf: those asked for, or all.
func (p *postconf) showMain(v *view) error {
	names := p.args
	if len(names) == 0 {
		names = v.usage.Names(p.classes)
	}
	for _, name := range names {
		if v.usage.Class(name) == 0 {
			p.env.Warn("%s: unknown parameter", name)
			continue
		}
		// The directory counts as set when it was chosen.
		set := v.snap.IsSet(name) || name == "config_directory" && p.explicit
		if p.flags['n'] && !set {
			continue
		}
		value, err := p.value(v, name)
		if err != nil {
			return err
		}
		if err := p.setting(name, value); err != nil {
			return err
		}
	}
	return nil
}

// value is the value to show for name, expanded with -x.
func (p *postconf) value(v *view, name string) (string, error) {
	if p.flags['x'] {
		if value, defined, err := v.snap.Lookup(name); defined || err != nil {
			return value, err
		}
	} else if value, defined, err := v.snap.Raw(name); defined || err != nil {
		return value, err
	}
	value, _ := v.usage.ServiceDefault(name)
	if p.flags['x'] {
		return v.snap.Expand(value)
	}
	return value, nil
}

// showDefaults prints the built-in defaults: the configuration of an empty
// main.cf. Transports of master.cf have defaults, too.
func (p *postconf) showDefaults() error {
	v := &view{}
	var err error
	if v.main, err = config.ParseMain("main.cf", nil); err != nil {
		return err
	}
	// A broken or missing master.cf is no reason to hide the defaults.
	v.master, _ = config.ReadMaster(p.path("master.cf"))
	v.usage = config.Analyse(p.env.Catalog, v.main, v.master, nil)
	v.snap = config.Unchecked(v.main, p.env.Catalog, config.Service{})
	names := p.args
	if len(names) == 0 {
		names = v.usage.Names(p.classes)
	}
	for _, name := range names {
		if v.usage.Class(name) == 0 {
			p.env.Warn("%s: unknown parameter", name)
			continue
		}
		value, err := p.value(v, name)
		if name == "config_directory" {
			value = config.DefaultDir
		}
		if err != nil {
			return err
		}
		if err := p.setting(name, value); err != nil {
			return err
		}
	}
	return nil
}

// setting prints one name and value as -h, -H and -f want it.
func (p *postconf) setting(name, value string) error {
	var text string
	switch {
	case p.flags['H']:
		text = name
	case p.flags['h']:
		text = config.FormatValue(value, p.flags['f'])
	default:
		text = config.FormatSetting(name, value, p.flags['f'])
	}
	_, err := fmt.Fprintln(p.env.Stdout, text)
	return err
}
