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
	tryTables(set, snap, warn)
	for _, row := range set.Master.Services {
		if row.Command == "bounce" {
			tryTemplates(set, row, warn)
		}
	}
	return out
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
	try := func(file string, line int, name, value string) {
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
	}
	for _, s := range set.Main.Effective() {
		try(set.Main.Path, s.Line, s.Name, s.Value)
	}
	for _, row := range set.Master.Services {
		for _, o := range row.Overrides {
			try(row.File, row.Line, o.Name, o.Value)
		}
	}
}
