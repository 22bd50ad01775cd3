package run

import (
	"posthaste/internal/address"
	"posthaste/internal/config"
	"posthaste/internal/deliver/local"
	"posthaste/internal/deliver/smtp"
	"posthaste/internal/deliver/virtual"
	"posthaste/internal/intake"
	"posthaste/internal/receive/smtpd"
	"posthaste/internal/report"
	"posthaste/internal/schedule"
)

// binders bind the parameters that the service of a command uses. They are
// what Check tries.
var binders = map[string]func(*config.Snapshot) error{
	"smtpd":      bind[smtpd.Params],
	"postscreen": bind[smtpd.Params],
	"cleanup":    bind[intake.Params],
	"qmgr":       bind[schedule.Params],
	"bounce":     bind[report.Params],
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
