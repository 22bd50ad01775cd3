package command

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"posthaste/internal/config"
)

const postconfUsage = "[-a (server SASL types)] [-A (client SASL types)] [-b (bounce templates)] [-c config_dir] [-C param_class] " +
	"[-d (parameter defaults)] [-e (edit configuration)] [-f (fold lines)] [-F (master.cf fields)] [-h (no names)] " +
	"[-H (no values)] [-l (lock types)] [-m (map types)] [-M (master.cf)] [-n (non-default parameters)] " +
	"[-o name=value (override parameter value)] [-p (main.cf, default)] [-P (master.cf parameters)] " +
	"[-q (no warnings)] [-t (bounce templates)] [-v (verbose)] [-x (expand parameter values)] [-X (exclude)] [-# (comment-out)] [name...]"

// postconfLetters are the options that exclude each other in some way, in the
// order in which a message lists them.
const postconfLetters = "aAbdeCfFhHlmMnopPtxX#"

// postconfModes are the options that choose what postconf is about.
const postconfModes = "aAbFlmMpPt"

// postconfAllowed lists, for each mode, the other options it goes with.
var postconfAllowed = map[byte]string{
	'p': "dehHnofCxX#",
	'M': "efoxX#",
	'F': "efhHoxC",
	'P': "efhHoxXC",
}

// postconf is one run of the command.
type postconf struct {
	env       Env
	flags     map[byte]bool
	mode      byte // one of postconfModes
	dir       string
	explicit  bool // the directory was given by -c or MAIL_CONFIG
	classes   config.Class
	overrides []config.Override
	args      []string
}

// Postconf is postconf(1): it shows and changes main.cf and master.cf.
func Postconf(env Env) int {
	p := &postconf{env: env, flags: make(map[byte]bool), classes: config.Builtin | config.PerService | config.UserDefined}
	if status := p.options(); status != 0 {
		return status
	}
	if err := p.run(); err != nil {
		return env.Fatal("%v", err)
	}
	return 0
}

// options reads the command line. It has printed what is wrong when it
// returns a status other than 0.
func (p *postconf) options() int {
	var dir string
	opts := NewOptions(p.env.arguments(), "aAbc:C:defFhHlmMno:pPqtvxX#")
	for {
		option, value, err := opts.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return p.env.Usage(err, postconfUsage)
		}
		p.flags[option] = true
		switch option {
		case 'c':
			dir = value
		case 'C':
			if err := p.class(value); err != nil {
				return p.env.Fatal("%v", err)
			}
		case 'o':
			name, text, err := config.SplitNameValue(value)
			if err != nil {
				return p.env.Fatal("invalid parameter override: %s: %v", value, err)
			}
			p.overrides = append(p.overrides, config.Override{Name: name, Value: text})
		}
	}
	p.args = opts.Rest()
	p.dir = config.Dir(dir, p.env.Getenv)
	p.explicit = dir != "" || p.env.Getenv("MAIL_CONFIG") != ""
	if slices.ContainsFunc(p.args, func(arg string) bool { return strings.Contains(arg, "=") }) {
		p.flags['e'] = true // giving a value implies -e
	}
	if err := p.compatible(); err != nil {
		return p.env.Fatal("%v", err)
	}
	return 0
}

func (p *postconf) class(list string) error {
	p.classes = 0
	for _, word := range config.SplitList(list) {
		switch word {
		case "builtin":
			p.classes |= config.Builtin
		case "service":
			p.classes |= config.PerService
		case "user":
			p.classes |= config.UserDefined
		case "all":
			p.classes |= config.Builtin | config.PerService | config.UserDefined
		default:
			return fmt.Errorf("unknown -C option value \"%s\" in \"%s\"", word, list)
		}
	}
	return nil
}

// compatible checks that the options go together, and finds the mode.
func (p *postconf) compatible() error {
	for _, group := range []string{postconfModes, "de#Xn", "hH"} {
		if err := p.oneOf(group); err != nil {
			return err
		}
	}
	// An edit goes with no option about output.
	for _, edit := range "eX#" {
		for _, output := range "fhHoxC" {
			if err := p.oneOf(string(edit) + string(output)); err != nil {
				return err
			}
		}
	}
	p.mode = 'p'
	for _, mode := range []byte(postconfModes) {
		if p.flags[mode] {
			p.mode = mode
		}
	}
	for _, option := range []byte(postconfLetters) {
		if p.flags[option] && option != p.mode && !strings.Contains(postconfAllowed[p.mode], string(option)) {
			return fmt.Errorf("with option -%c, do not specify -%c", p.mode, option)
		}
	}
	return nil
}

// oneOf refuses two options of a group.
func (p *postconf) oneOf(group string) error {
	var given []string
	for _, option := range []byte(postconfLetters) {
		if p.flags[option] && strings.IndexByte(group, option) >= 0 {
			given = append(given, "-"+string(option))
		}
	}
	if len(given) > 1 {
		return fmt.Errorf("specify one of %s", strings.Join(given, " "))
	}
	return nil
}

// path is a file of the configuration, written as the administrator wrote the
// directory, because it stands in messages.
func (p *postconf) path(name string) string { return p.dir + "/" + name }

func (p *postconf) run() error {
	switch p.mode {
	case 'a':
		return p.list("dovecot")
	case 'A':
		return p.list("cyrus")
	case 'l':
		return p.list("flock", "fcntl", "dotlock")
	case 'm':
		return p.list(p.env.TableTypes...)
	case 'b', 't':
		return p.showTemplates()
	}
	editing := p.flags['e'] || p.flags['X'] || p.flags['#']
	switch {
	case editing && p.mode == 'p':
		return p.editMain()
	case editing:
		return p.editMaster()
	case p.mode == 'p' && p.flags['d']:
		return p.showDefaults()
	}
	view, err := p.load()
	if err != nil {
		return err
	}
	if p.mode == 'p' {
		err = p.showMain(view)
	} else {
		err = p.showMaster(view)
	}
	if err == nil {
		p.findings(view)
	}
	return err
}

func (p *postconf) list(words ...string) error {
	for _, word := range words {
		if _, err := fmt.Fprintln(p.env.Stdout, word); err != nil {
			return err
		}
	}
	return nil
}
