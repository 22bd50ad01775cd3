package local

import (
	"context"
	"os"
	"time"

	"posthaste/internal/config"
	"posthaste/internal/deliver"
	"posthaste/internal/deliver/user"
	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
	"posthaste/internal/table"
)

// Params are the main.cf parameters of local(8). Texts marked raw are
// expanded for each recipient.
type Params struct {
	Common config.Common
	User   user.Params

	Biff              bool `cf:"biff" default:"yes" doc:"Accepted; nobody is told of new mail: the comsat service it means is gone."`
	ExpandOwnerAlias  bool `cf:"expand_owner_alias" default:"no" doc:"Use the expansion of owner-list as sender instead of its name."`
	ResetOwnerAlias   bool `cf:"reset_owner_alias" default:"no" doc:"A list in a list without owner of its own is sent from the original sender."`
	FrozenDeliveredTo bool `cf:"frozen_delivered_to" default:"yes" doc:"Delivered-To keeps the recipient of the message while aliases are expanded."`
	RequireHome       bool `cf:"require_home_directory" default:"no" doc:"Defer when the recipient's home directory does not exist."`

	ForwardPath      string   `cf:"forward_path" raw:"yes" default:"$home/.forward${recipient_delimiter}${extension}, $home/.forward" doc:"Where to look for the recipient's own forwarding file."`
	ForwardFilter    string   `cf:"forward_expansion_filter" default:"1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" doc:"Characters that may come out of $name in forward_path."`
	CommandFilter    string   `cf:"command_expansion_filter" default:"1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" doc:"Characters that the environment of a command may hold of what a stranger chose; others become an underscore."`
	DirectoryFilter  string   `cf:"execution_directory_expansion_filter" default:"1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" doc:"Characters that may come out of $name in command_execution_directory."`
	AllowCommands    []string `cf:"allow_mail_to_commands" default:"alias, forward" doc:"Where |command may stand: alias, forward, include."`
	AllowFiles       []string `cf:"allow_mail_to_files" default:"alias, forward" doc:"Where /file may stand: alias, forward, include."`
	PrependDelivered []string `cf:"prepend_delivered_header" default:"command, file, forward" doc:"Kinds of delivery that get a Delivered-To header."`

	TransportMaps         string `cf:"mailbox_transport_maps" default:"" doc:"Tables with a transport for the mailbox of some users."`
	Transport             string `cf:"mailbox_transport" default:"" doc:"Transport for all mailboxes, known users or not."`
	CommandMaps           string `cf:"mailbox_command_maps" default:"" doc:"Tables with a command for the mailbox of some users."`
	Command               string `cf:"mailbox_command" raw:"yes" default:"" doc:"Command that stores mail for all users."`
	HomeMailbox           string `cf:"home_mailbox" default:"" doc:"Mailbox in the home directory; ends in / for a maildir."`
	SpoolDirectory        string `cf:"mail_spool_directory" default:"/var/mail" doc:"Directory of mailboxes; ends in / for maildirs."`
	FallbackTransportMaps string `cf:"fallback_transport_maps" default:"" doc:"Tables with a transport for names that are not users here."`
	FallbackTransport     string `cf:"fallback_transport" default:"" doc:"Transport for names that are not users here."`
	LuserRelay            string `cf:"luser_relay" raw:"yes" default:"" doc:"Address that gets the mail of unknown users."`

	CommandDirectory string        `cf:"command_execution_directory" raw:"yes" default:"" doc:"Working directory of commands; default: the queue directory."`
	CommandShell     string        `cf:"local_command_shell" default:"" doc:"Shell for all commands; empty: /bin/sh, only where needed."`
	CommandLimit     time.Duration `cf:"command_time_limit" default:"1000s" unit:"s" doc:"Time limit for a command; it is then killed with its process group."`
	MailboxLock      []string      `cf:"mailbox_delivery_lock" default:"fcntl, dotlock" doc:"How to lock a mailbox file: fcntl, flock, dotlock."`
	MailboxLimit     int64         `cf:"mailbox_size_limit" default:"51200000" unit:"bytes" doc:"Largest mailbox or maildir file; 0: no limit."`
}

// Logger is where warnings for the operator go.
type Logger interface {
	Warning(format string, args ...any)
}

// Forward is a message to be sent on: the same content with a header in front.
type Forward struct {
	Envelope   mail.Envelope
	Recipients []mail.Recipient
	Headers    []string // whole lines without line end, to stand before the content
	Content    record.Content
}

// Forwarder puts a message into the queue, through the one door. It returns
// when the message is durable. Errors are *mail.Error, or a local fault.
type Forwarder interface {
	Forward(ctx context.Context, f Forward) (mail.QueueID, error)
}

// Router completes and rewrites an address that stands in an alias, and tells
// whether it is delivered by this transport. An error is a temporary failure.
type Router interface {
	Route(ctx context.Context, a mail.Address) (rewritten mail.Address, local bool, err error)
}

// Deps are what the agent works with.
type Deps struct {
	Tables    table.Opener // for aliases: without regular-expression substitution
	Accounts  user.Accounts
	Worker    user.Worker
	Forwarder Forwarder
	Router    Router
	// Transport is the agent of another service, for mailbox_transport and
	// fallback_transport.
	Transport func(service string) (deliver.Agent, error)
	Log       Logger // nil: warnings are dropped
	// Propagate is propagate_unmatched_extensions: an extension that did not
	// match is given to the addresses of the expansion, where `alias`,
	// `forward` or `include` is listed.
	Propagate []string
	Getenv    func(name string) (value string, ok bool) // nil: os.LookupEnv
}

func (d Deps) env() func(string) (string, bool) {
	if d.Getenv != nil {
		return d.Getenv
	}
	return os.LookupEnv
}
