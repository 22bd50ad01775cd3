package local

import (
	"context"
	"errors"
	"slices"

	"posthaste/internal/deliver/user"
	"posthaste/internal/mail"
	"posthaste/internal/mailbox"
)

// command delivers to a |command of an alias or a .forward.
func (j *job) command(ctx context.Context, p place, line string) {
	if !slices.Contains(j.params.AllowCommands, p.from) {
		j.add(p, mail.Bounce("5.7.1", "mail to command is restricted"))
		return
	}
	rights, err := j.rights(ctx, p)
	if err != nil {
		j.deps.Log.Warning("%v", err)
		j.add(p, mail.Defer("4.3.5", "mail system configuration error"))
		return
	}
	var account *user.Account
	if p.owner == nil {
		account = p.account
	}
	j.execute(ctx, p, rights, account, line)
}

// mailboxCommand gives the message to the command that stores mail. Its $names
// are the shell's (postconf(5)): the environment has filtered values.
func (j *job) mailboxCommand(ctx context.Context, p place, account user.Account, line string) {
	rights := account.ID
	if rights.UID == 0 || rights.GID == 0 {
		var err error
		if rights, err = j.defaultRights(ctx); err != nil {
			j.deps.Log.Warning("%v", err)
			j.add(p, mail.Defer("4.3.5", "mail system configuration error"))
			return
		}
	}
	j.execute(ctx, p, rights, &account, line)
}

// execute runs one command with the message as its input.
func (j *job) execute(ctx context.Context, p place, rights user.Identity, account *user.Account, line string) {
	if j.probing() {
		j.add(p, mail.Status{Action: mail.Deliverable, Code: "2.0.0", Reason: "delivers to command: " + user.Printable(line)})
		return
	}
	dir := j.params.Common.QueueDirectory
	if j.params.CommandDirectory != "" {
		var err error
		if dir, err = expandMacros(j.params.CommandDirectory, j.macros(p, account, j.params.DirectoryFilter)); err != nil {
			j.deps.Log.Warning("command_execution_directory: %v", err)
			j.add(p, mail.Defer("4.3.5", "mail system configuration error"))
			return
		}
	}
	outcome, err := j.deps.Worker.Run(ctx, rights, user.Command{
		Line: line, Shell: j.params.CommandShell, Dir: dir, Limit: j.params.CommandLimit,
		Env: j.environment(p, account), Message: j.message(p, j.delivered(p, "command")), Format: mailbox.CommandFormat,
	})
	if err != nil {
		var failed *mail.Error
		if !errors.As(err, &failed) {
			failed = &mail.Error{Reply: 450, Code: "4.3.0", Text: "cannot run the command"}
		}
		j.deps.Log.Warning("%s: command for %s: %v", j.request.ID, p.address.Quoted(), err)
		j.add(p, failed.Status())
		return
	}
	j.add(p, outcome.Status(line, "delivered to command: "+user.Printable(line)))
}

// environment is what a command finds (local(8), EXTERNAL COMMAND DELIVERY).
// Every value that a sender could have chosen is filtered.
func (j *job) environment(p place, account *user.Account) []string {
	env := append([]string{user.CommandPath}, j.params.User.Exported(j.deps.env())...)
	add := func(name, value string) {
		if value != "" {
			env = append(env, name+"="+user.Filter(value, j.params.CommandFilter))
		}
	}
	if account != nil {
		add("HOME", account.Home)
		add("SHELL", account.Shell)
	}
	add("USER", p.user)
	add("LOGNAME", p.user)
	add("LOCAL", p.local)
	add("EXTENSION", p.extension)
	add("DOMAIN", p.domain)
	add("RECIPIENT", string(p.address))
	add("ORIGINAL_RECIPIENT", string(j.recipient.Original))
	// Postfix sets SENDER also when it is empty.
	env = append(env, "SENDER="+user.Filter(string(p.sender), j.params.CommandFilter))
	o := j.request.Envelope.Origin
	add("CLIENT_ADDRESS", o.Client.Address)
	add("CLIENT_HELO", o.Client.Helo)
	add("CLIENT_HOSTNAME", o.Client.Name)
	add("CLIENT_PROTOCOL", o.Client.Protocol)
	add("SASL_METHOD", o.SASLMethod)
	add("SASL_SENDER", o.SASLSender)
	add("SASL_USERNAME", o.SASLUsername)
	add("ENVID", j.request.Envelope.EnvelopeID)
	return env
}
