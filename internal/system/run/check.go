package run

import (
	"fmt"
	"slices"
	"strings"

	"posthaste/internal/address"
	"posthaste/internal/config"
	"posthaste/internal/deliver/local"
	"posthaste/internal/deliver/smtp"
	"posthaste/internal/deliver/virtual"
	"posthaste/internal/flush"
	"posthaste/internal/intake"
	"posthaste/internal/receive/smtpd"
	"posthaste/internal/report"
	"posthaste/internal/schedule"
	"posthaste/internal/table"
	"posthaste/internal/table/open"
)

// binders bind the parameters that the service of a command uses. They are
// what Check tries.
var binders = map[string]func(*config.Snapshot) error{
	"smtpd":      bind[smtpd.Params],
	"postscreen": bind[smtpd.Params],
	"cleanup":    bind[intake.Params],
	"qmgr":       bind[schedule.Params],
	"bounce":     bind[report.Params],
	"flush":      bind[flush.Params],
	"local":      bind[local.Params],
	"virtual":    bind[virtual.Params],
	"smtp":       bind[smtp.Params],
	"relay":      bind[smtp.Params],
	"lmtp":       bindLMTP,
}

func bind[P any](s *config.Snapshot) error {
	var p P
	return s.Bind(&p)
}

func bindLMTP(s *config.Snapshot) error {
	var p smtp.Params
	return s.BindAs(&p, "smtp_", "lmtp_")
}

// Check finds what is wrong in a configuration: values of the wrong kind in
// main.cf or in a row of master.cf. The error names file, line and parameter.
func Check(set *config.Set) error {
	catalog := Catalog()
	for _, s := range set.Master.Services {
		snap, err := config.ForService(set.Main, catalog, s)
		if err != nil {
			return err
		}
		if err := bind[address.Params](snap); err != nil {
			return err
		}
		if b := binders[s.Command]; b != nil {
			if err := b(snap); err != nil {
				return err
			}
		}
	}
	return nil
}

// Warnings finds what is odd in a configuration: names that nobody knows, settings
// that have no effect here, tables that cannot be read, and mistakes in the
// templates of notices.
func Warnings(set *config.Set) []string {
	out := config.Analyse(Catalog(), set.Main, set.Master, nil).Warnings()
	warn := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	snap, err := config.New(set.Main, Catalog(), nil)
	if err != nil {
		return append(out, err.Error())
	}
	out = append(out, Missing(set)...)
	tryTables(set, snap, warn)
	for _, row := range set.Master.Services {
		if row.Command == "bounce" {
			tryTemplates(set, row, warn)
		}
	}
	return out
}

// foreign are the types of tables that Postfix has or had, and that may be
// missing here.
var foreign = []string{"btree", "cdb", "dbm", "hash", "ldap", "lmdb", "memcache", "mongodb", "mysql", "netinfo", "nisplus", "pcre",
	"pgsql", "sdbm", "socketmap", "sqlite", "tcp"}

// Missing finds the tables of types that Postfix knows and this build does not
// have, in settings that have an effect: mail that needs one waits.
func Missing(set *config.Set) (out []string) {
	catalog := Catalog()
	snap, err := config.New(set.Main, catalog, nil)
	if err != nil {
		return nil // Check has told
	}
	types := open.Types()
	settings(set, func(file string, line int, name, value string) {
		text, err := snap.Expand(value)
		if p, known := catalog.Get(name); err != nil || known && !p.Implemented {
			return
		}
		for _, word := range config.SplitList(text) {
			spec := strings.TrimPrefix(word, "proxy:")
			kind, rest, _ := strings.Cut(spec, ":")
			if rest != "" && slices.Contains(foreign, kind) && !slices.Contains(types, kind) {
				out = append(out, fmt.Sprintf("%s, line %d: parameter %s: table %s: unsupported dictionary type: %s", file, line, name, spec, kind))
			}
		}
	})
	return out
}

// settings goes over all settings of main.cf that count, and those of the rows
// of master.cf.
func settings(set *config.Set, do func(file string, line int, name, value string)) {
	for _, s := range set.Main.Effective() {
		do(set.Main.Path, s.Line, s.Name, s.Value)
	}
	for _, row := range set.Master.Services {
		for _, o := range row.Overrides {
			do(row.File, row.Line, o.Name, o.Value)
		}
	}
}

// tryTemplates reads the templates of notices as the service of a row would.
func tryTemplates(set *config.Set, row config.Service, warn func(format string, args ...any)) {
	snap, err := config.ForService(set.Main, Catalog(), row)
	if err != nil {
		return // Check has told
	}
	var params report.Params
	if snap.Bind(&params) == nil {
		templates(snap, params.TemplateFile, warn)
	}
}

// tryTables opens every table that a setting names.
func tryTables(set *config.Set, snap *config.Snapshot, warn func(format string, args ...any)) {
	tables := open.New(table.Options{Warn: warn})
	defer tables.Close()
	types, seen := open.Types(), map[string]bool{}
	settings(set, func(file string, line int, name, value string) {
		text, err := snap.Expand(value)
		if err != nil {
			return // Check has told
		}
		for _, word := range config.SplitList(text) {
			spec := strings.TrimPrefix(word, "proxy:")
			kind, path, _ := strings.Cut(spec, ":")
			if seen[spec] || !strings.HasPrefix(path, "/") || !slices.Contains(types, kind) {
				continue
			}
			seen[spec] = true
			if _, err := tables.OpenNow(spec); err != nil {
				warn("%s, line %d: parameter %s: table %s: %s", file, line, name, spec, err)
			}
		}
	})
}
