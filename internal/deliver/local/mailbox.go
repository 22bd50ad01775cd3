package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"posthaste/internal/deliver/user"
	"posthaste/internal/mail"
	"posthaste/internal/mailbox"
	"posthaste/internal/table"
)

// deliverMailbox delivers to the mailbox of p.user, in the order of
// precedence of local(8), or treats the user as unknown.
func (j *job) deliverMailbox(ctx context.Context, p place) {
	transport, found, err := j.transports.Lookup(ctx, p.user)
	switch {
	case err != nil:
		j.deps.Log.Warning("%v", err)
		j.add(p, mail.Defer("4.3.5", "mail system configuration error"))
		return
	case found:
		j.pass(ctx, p, transport)
		return
	case j.params.Transport != "":
		j.pass(ctx, p, j.params.Transport)
		return
	}
	account, found, err := j.deps.Accounts.ByName(ctx, p.user)
	switch {
	case err != nil:
		j.accountTrouble(p, err)
		return
	case !found || !safePart(account.Name):
		j.deliverUnknown(ctx, p)
		return
	}
	p.owner, p.account = nil, &account
	command, found, err := j.commands.Lookup(ctx, p.user)
	switch {
	case err != nil:
		j.deps.Log.Warning("%v", err)
		j.add(p, mail.Defer("4.3.5", "mail system configuration error"))
	case found:
		j.mailboxCommand(ctx, p, account, command)
	case j.params.Command != "":
		j.mailboxCommand(ctx, p, account, j.params.Command)
	default:
		j.mailboxFile(ctx, p, account)
	}
}

// mailboxFile writes to home_mailbox or to the spool directory.
func (j *job) mailboxFile(ctx context.Context, p place, account user.Account) {
	rights := account.ID
	var path string
	soft := false
	if j.params.HomeMailbox != "" {
		path = strings.TrimRight(account.Home, "/") + "/" + j.params.HomeMailbox
	} else {
		dir := j.params.SpoolDirectory
		path = strings.TrimRight(dir, "/") + "/" + account.Name
		if strings.HasSuffix(dir, "/") {
			path += "/"
		}
		rights, soft = spoolRights(dir, rights)
	}
	if rights.UID == 0 || rights.GID == 0 {
		j.add(p, mail.Defer("4.3.5", "mail for %s is not delivered with superuser rights: set an alias for this name", account.Name))
		return
	}
	maildir := strings.HasSuffix(path, "/")
	if j.probing() {
		j.add(p, mail.Status{Action: mail.Deliverable, Code: "2.0.0", Reason: word("delivers to ", maildir)})
		return
	}
	err := j.write(ctx, p, rights, path, j.options(soft))
	if err != nil {
		st := err.Status()
		if !maildir {
			st.Reason = "cannot update mailbox " + path + " for user " + account.Name + ". " + st.Reason
		}
		j.add(p, st)
		return
	}
	j.add(p, mail.Sent("2.0.0", "%s", word("delivered to ", maildir)))
}

func word(verb string, maildir bool) string {
	if maildir {
		return verb + "maildir"
	}
	return verb + "mailbox"
}

// spoolRights gives the delivery the group of a spool directory that is
// writable by its group only (root:mail 2775), so that the lock file can be
// made there. In a directory that only the superuser may write to, mailboxes
// must exist, and are locked without a lock file.
func spoolRights(dir string, rights user.Identity) (user.Identity, bool) {
	st, err := os.Stat(filepath.Clean(dir))
	if err != nil {
		return rights, false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	mode := st.Mode().Perm()
	switch {
	case !ok || mode&0o002 != 0 || sys.Uid == rights.UID:
		return rights, false
	case mode&0o020 != 0 && sys.Gid != 0:
		rights.GID = sys.Gid
		return rights, false
	}
	return rights, true
}

// delivered is the value of Delivered-To for a kind of delivery, or empty.
func (j *job) delivered(p place, kind string) mail.Address {
	if slices.Contains(j.params.PrependDelivered, kind) {
		return p.delivered
	}
	return ""
}

func (j *job) message(p place, delivered mail.Address) mailbox.Message {
	return mailbox.Message{
		Sender: p.sender, Original: j.recipient.Original, Delivered: delivered,
		Arrived: time.Now(), Content: j.request.Content,
	}
}

// options are those of a delivery to a file. soft tells that it may go on
// without lock file.
func (j *job) options(soft bool) mailbox.Options {
	o := j.params.User.Options(j.locks, j.params.MailboxLimit, j.params.Common.MyHostname)
	o.SoftDotlock = soft
	return o
}

// write delivers to a file as a user.
func (j *job) write(ctx context.Context, p place, as user.Identity, path string, options mailbox.Options) *mail.Error {
	warnings, err := j.deps.Worker.Deliver(ctx, as, user.Delivery{
		Path: path, Options: options, Message: j.message(p, j.delivered(p, "file")),
	})
	for _, w := range warnings {
		j.deps.Log.Warning("%s", w)
	}
	if err == nil {
		return nil
	}
	var failed *mail.Error
	if !errors.As(err, &failed) {
		failed = &mail.Error{Reply: 450, Code: "4.3.0", Text: table.ErrorText(err)}
	}
	if failed.Err != nil {
		j.deps.Log.Warning("%s: %v", path, failed.Err)
	}
	switch {
	case strings.Contains(failed.Text, "is not owned by recipient"):
		j.deps.Log.Warning("specify \"strict_mailbox_ownership = no\" to ignore mailbox ownership mismatch")
	case strings.HasSuffix(path, "/") && strings.HasSuffix(failed.Text, "Permission denied"):
		j.deps.Log.Warning("maildir access problem for UID/GID=%d/%d: %s", as.UID, as.GID, failed.Text)
		j.deps.Log.Warning("perhaps you need to create the maildirs in advance")
	}
	return failed
}

// file delivers to a /file/name of an alias or a .forward.
func (j *job) file(ctx context.Context, p place, path string) {
	if !slices.Contains(j.params.AllowFiles, p.from) {
		j.add(p, mail.Bounce("5.7.1", "mail to file is restricted"))
		return
	}
	if j.probing() {
		j.add(p, mail.Status{Action: mail.Deliverable, Code: "2.0.0", Reason: "delivers to file: " + user.Printable(path)})
		return
	}
	rights, err := j.rights(ctx, p)
	if err != nil {
		j.deps.Log.Warning("%v", err)
		j.add(p, mail.Defer("4.3.5", "mail system configuration error"))
		return
	}
	// A file that is nobody's mailbox need not be owned by the user, and its
	// directory need not be writable for a lock file.
	options := j.options(true)
	options.StrictOwner = false
	maildir := strings.HasSuffix(path, "/")
	if failed := j.write(ctx, p, rights, path, options); failed != nil {
		st := failed.Status()
		if !maildir {
			st.Reason = "cannot append message to file " + user.Printable(path) + ": " + st.Reason
		}
		j.add(p, st)
		return
	}
	if maildir {
		j.add(p, mail.Sent("2.0.0", "delivered to maildir"))
		return
	}
	j.add(p, mail.Sent("2.0.0", "delivered to file: %s", user.Printable(path)))
}
