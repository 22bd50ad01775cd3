package local

import (
	"strings"

	"posthaste/internal/deliver/user"
)

// macros are the names that forward_path, mailbox_command, luser_relay and
// command_execution_directory may use. Values are filtered: what a sender
// chose cannot mean anything to a shell or a file system.
func (j *job) macros(p place, account *user.Account, allowed string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		var value string
		switch name {
		case "user":
			value = p.user
		case "local":
			value = p.local
		case "domain":
			value = p.domain
		case "recipient":
			value = string(p.address)
		case "extension":
			value = p.extension
		case "recipient_delimiter":
			if value = p.delimiter; value == "" && j.params.Common.RecipientDelimiter != "" {
				value = j.params.Common.RecipientDelimiter[:1]
			}
		case "home":
			if account != nil {
				value = account.Home
			}
		case "shell":
			if account != nil {
				value = account.Shell
			}
		default:
			return "", false
		}
		if allowed != "" {
			value = user.Filter(value, allowed)
		}
		return value, true
	}
}

// safePart refuses what a path must not get from a recipient: a way out of
// the directory. A dot is in the filter's set, so it can come this far.
func safePart(s string) bool {
	return !strings.Contains(s, "/") && s != "." && s != ".."
}
