// Package user does file and command work with the rights of a mail
// recipient. A planner (local, virtual, pipe) asks a Worker; there are two:
//
//   - Direct does the work in this process, for this process's own user only;
//   - Pool asks a root broker for a child process of the wanted user and hands
//     the work to it. The child runs Serve, which is Direct behind a socket.
//
// The broker (Broker.Serve) is the only part that runs as root. It knows one
// request of fixed size, a user and a group number, reads nothing else, opens
// no file, and never makes a child of user 0 or group 0.
//
// The package may touch what the recipient's user may touch. It knows no
// configuration and logs nothing.
package user

import (
	"context"
	"time"

	"posthaste/internal/mailbox"
)

// Identity is the user and the group whose rights are used. Like local(8), a
// child has that one group and no secondary groups.
type Identity struct{ UID, GID uint32 }

// Worker does work with the rights of a user. It is safe for concurrent use.
// Errors are *mail.Error: temporary ones when the work could not be begun.
type Worker interface {
	// Deliver writes a message to a maildir or an mbox file. It returns when
	// the message is durable.
	Deliver(ctx context.Context, as Identity, d Delivery) (mailbox.Warnings, error)
	// Run gives a message to a command. The error tells that the command did
	// not get the message; how the command ended is in the Outcome.
	Run(ctx context.Context, as Identity, c Command) (Outcome, error)
	// Read reads a small file. A file that the user may not read is a permanent error.
	Read(ctx context.Context, as Identity, path string, limit int64) (mailbox.File, error)
}

// Delivery is a message and the file it goes to. A Path that ends in '/' is a
// maildir.
type Delivery struct {
	Path    string
	Message mailbox.Message
	Options mailbox.Options
}

// Command is a message and the program that reads it from its standard input.
type Command struct {
	Argv    []string // the program and its arguments; used when Line is empty
	Line    string   // a command line as in aliases(5), without the '|'
	Shell   string   // local_command_shell; with Line only
	Env     []string // the whole environment: name=value
	Dir     string   // working directory; empty: the process's own
	Limit   time.Duration
	Message mailbox.Message
	Format  mailbox.Format
}

// Outcome is how a command ended.
type Outcome struct {
	Exit     int    // exit status; meaningless when Signal or TimedOut is set
	Signal   int    // the signal that ended it, or 0
	TimedOut bool   // it was killed, with its process group, at the time limit
	Output   []byte // the beginning of standard output and error
}

// MaxOutput is how much of a command's output is kept, in bytes.
const MaxOutput = 4096
