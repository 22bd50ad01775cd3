package user

import (
	"time"

	"posthaste/internal/mailbox"
)

// Params are the main.cf parameters that local(8), virtual(8) and pipe(8)
// share.
type Params struct {
	LockAttempts      int           `cf:"deliver_lock_attempts" default:"20" doc:"Tries to lock a mailbox before the delivery is deferred."`
	LockDelay         time.Duration `cf:"deliver_lock_delay" default:"1s" unit:"s" doc:"Time between these tries."`
	StaleLock         time.Duration `cf:"stale_lock_time" default:"500s" unit:"s" doc:"Age at which a mailbox lock file is taken for forgotten and removed."`
	StrictOwner       bool          `cf:"strict_mailbox_ownership" default:"yes" doc:"Defer when a mailbox file is not owned by its recipient."`
	ExportEnvironment []string      `cf:"export_environment" default:"TZ MAIL_CONFIG LANG" doc:"Environment variables that commands inherit: name or name=value."`
}

// Options turns the settings into those of one delivery.
func (p Params) Options(locks []mailbox.Lock, limit int64, hostname string) mailbox.Options {
	return mailbox.Options{
		MaxSize: limit, Locks: locks, Hostname: hostname,
		Attempts: p.LockAttempts, Delay: p.LockDelay, Stale: p.StaleLock, StrictOwner: p.StrictOwner,
	}
}
