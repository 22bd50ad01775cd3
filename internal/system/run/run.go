// Package run puts the pieces together: which packages serve the rows of
// master.cf in which process, and what they are given to work with. It is the
// one place of wiring. Everything is a literal: a map from role to builder,
// from command to check.
//
// It has no behaviour of its own beyond small adapters; it may touch what a
// child process may touch (see package host).
package run

import (
	"context"
	"fmt"
	"io"
	"os"

	"posthaste/internal/address"
	"posthaste/internal/command/setgid"
	"posthaste/internal/config"
	"posthaste/internal/deliver/local"
	"posthaste/internal/deliver/smtp"
	"posthaste/internal/deliver/user"
	"posthaste/internal/deliver/virtual"
	"posthaste/internal/flush"
	"posthaste/internal/intake"
	"posthaste/internal/receive/smtpd"
	"posthaste/internal/report"
	"posthaste/internal/schedule"
	"posthaste/internal/system/host"
	"posthaste/internal/system/master"
	"posthaste/internal/system/privilege"
	"posthaste/internal/system/spec"
)

// Catalog are all parameters of the program.
func Catalog() *config.Catalog {
	return config.NewCatalog(
		address.Params{}, flush.Params{}, intake.Params{}, local.Params{}, master.Params{}, report.Params{}, schedule.Params{},
		smtp.Params{}, config.As(smtp.Params{}, "smtp_", "lmtp_"), smtpd.Params{}, virtual.Params{}, setgid.Params{},
	)
}

// builders make the parts of each role.
var builders = map[spec.Role]host.Builder{
	spec.Inbound:  {Build: inbound, Drop: dropInbound},
	spec.Queue:    {Build: queueManager, Drop: dropQueue},
	spec.Outbound: {Build: outbound, Drop: dropOutbound},
	spec.Local:    {Build: localDelivery, Drop: dropLocal},
}

// The words that stand behind `child` on the command line of a process that
// the local role starts: its root helper, and the helper's children.
const (
	brokerRole = "broker"
	userRole   = "user"
)

// Child is the command `child ROLE`, with which processes are started. It
// returns the exit status.
func Child(args []string, stderr io.Writer) int {
	role := ""
	if len(args) == 1 {
		role = args[0]
	}
	var err error
	switch role {
	case brokerRole:
		err = serveBroker()
	case userRole:
		err = user.Child(context.Background())
	default:
		b, found := builders[spec.Role(role)]
		if !found {
			err = spec.ErrNoMaster
			break
		}
		if err = host.Run(b, host.DefaultLimits); err != nil {
			return 1 // host has logged it
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "posthaste child: fatal: %s\n", err)
		return 1
	}
	return 0
}

// Master returns what master is to run: this program's own processes.
func Master() master.Options {
	return master.Options{
		Catalog: Catalog(), Check: Check, Warnings: Warnings, Missing: Missing, Able: privilege.Able,
		Program: "/proc/self/exe", Child: []string{"posthaste", "child"},
	}
}

// MasterMain is the master command (master(8)).
func MasterMain(args []string) int { return master.Main(args, Master(), os.Stderr) }
