// Package setgid is the three commands that run with the rights of setgid_group:
// postdrop, postqueue and postlog. Any user of the machine may call them with
// any arguments, environment, descriptors and input; nothing of that is
// trusted. They touch maildrop, the sockets in public and the log, and run no
// other program. They are kept apart from the other commands so that few
// packages are part of a setgid program.
package setgid

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"posthaste/internal/config"
	"posthaste/internal/getopt"
	"posthaste/internal/maillog"
	"posthaste/internal/table"
)

// Params are the main.cf parameters of these commands and of sendmail(1).
type Params struct {
	Common         config.Common
	SubmitUsers    string        `cf:"authorized_submit_users" default:"static:anyone" doc:"Users who may submit mail with sendmail (match list)."`
	MailqUsers     string        `cf:"authorized_mailq_users" default:"static:anyone" doc:"Users who may see the queue (match list)."`
	FlushUsers     string        `cf:"authorized_flush_users" default:"static:anyone" doc:"Users who may flush the queue (match list)."`
	AlternateDirs  []string      `cf:"alternate_config_directories" default:"" doc:"Configuration directories that users may name with -c, read from the default main.cf."`
	InstanceDirs   []string      `cf:"multi_instance_directories" default:"" doc:"Configuration directories of further instances, which users may name with -c."`
	TriggerTimeout time.Duration `cf:"trigger_timeout" default:"10s" doc:"Time limit for waking a service."`
	FixLineEndings string        `cf:"sendmail_fix_line_endings" default:"always" doc:"When sendmail takes CR LF for a line end: always, strict, never."`
	PublicShowq    string        `cf:"showq_service_name" default:"showq" doc:"Name of the service that lists the queue."`
	PublicFlush    string        `cf:"flush_service_name" default:"flush" doc:"Name of the service that starts deliveries on demand."`
	PublicPickup   string        `cf:"pickup_service_name" default:"pickup" doc:"Name of the service that takes in what lies in maildrop."`
	PublicQmgr     string        `cf:"queue_service_name" default:"qmgr" doc:"Name of the queue manager's service."`
	PublicPostlog  string        `cf:"postlog_service_name" default:"postlog" doc:"Name of the service that writes log lines for others."`
}

// Exit statuses of sysexits(3).
const (
	exitUnavailable = 69
	exitSoftware    = 70
	exitTempFail    = 75
)

// Env is what a command gets from its caller.
type Env struct {
	Args   []string // Args[0] is the name the command was called by
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	UID    int  // of the user who calls
	EUID   int  // in effect
	Raised bool // the program has more rights than its caller
	// DefaultDir is the configuration directory whose main.cf says which other
	// ones may be named; empty: config.DefaultDir.
	DefaultDir string
}

// command is one run.
type command struct {
	Env
	name  string
	usage string
	code  int // exit status of a fatal error
	p     Params
	snap  *config.Snapshot
	log   *maillog.Logger
}

// failure is an error that ends a command, with its exit status.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return f.text }

func (c *command) fail(format string, args ...any) error {
	return &failure{c.code, fmt.Sprintf(format, args...)}
}

// help is the text for --help: the usage and one line per option.
type help struct {
	usage   string
	options []string
}

func (h help) print(w io.Writer) {
	fmt.Fprintf(w, "usage: %s\n\n", h.usage)
	for _, o := range h.options {
		fmt.Fprintf(w, "  %s\n", o)
	}
}

// run runs a command's body: it answers --help, turns an error into a message
// and an exit status.
func (c *command) run(h help, body func() error) int {
	c.usage = h.usage
	if slices.Contains(c.Args, "--help") {
		h.print(c.Stdout)
		return 0
	}
	err := body()
	var f *failure
	var bad *getopt.OptionError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &bad):
		fmt.Fprintf(c.Stderr, "%s: %s\n", c.name, bad)
		f = &failure{c.code, "usage: " + h.usage}
	case !errors.As(err, &f):
		f = &failure{c.code, err.Error()}
	}
	c.say(maillog.Fatal, f.text)
	return f.code
}

// say reports on standard error and in the log.
func (c *command) say(level maillog.Level, text string) {
	word := "fatal"
	switch level {
	case maillog.Warning:
		word = "warning"
		c.log.Warning("%s", text)
	case maillog.Error:
		word = "error"
		c.log.Error("%s", text)
	default:
		c.log.Fatal("%s", text)
	}
	fmt.Fprintf(c.Stderr, "%s: %s: %s\n", c.name, word, maillog.Sanitize(text))
}

func (c *command) warn(format string, args ...any) {
	c.say(maillog.Warning, fmt.Sprintf(format, args...))
}

// open reads the configuration, goes to the queue directory and opens the log.
// option is the value of -c.
func (c *command) open(option string) error {
	dir := config.Dir(option, c.Getenv)
	if err := c.checkDir(dir); err != nil {
		return err
	}
	if err := c.read(dir); err != nil {
		return err
	}
	queueDir := c.p.Common.QueueDirectory
	if err := os.Chdir(queueDir); err != nil {
		return c.fail("chdir %s: %s", queueDir, table.ErrorText(err))
	}
	c.openLog(c.name)
	return nil
}

func (c *command) read(dir string) error {
	file, err := config.ReadMain(filepath.Join(dir, "main.cf"))
	if err != nil {
		return err
	}
	if c.snap, err = config.New(file, config.NewCatalog(Params{}), nil); err != nil {
		return err
	}
	return c.snap.Bind(&c.p)
}

// checkDir refuses a configuration directory that the administrator has not
// named in the default main.cf, when it comes from somebody with fewer rights
// than this program: such a file could make it write anywhere.
func (c *command) checkDir(dir string) error {
	base := c.DefaultDir
	if base == "" {
		base = config.DefaultDir
	}
	if !c.Raised || dir == base {
		return nil
	}
	standard := filepath.Join(base, "main.cf")
	file, err := config.ReadMain(standard)
	if err != nil {
		return err
	}
	snap, err := config.New(file, config.NewCatalog(Params{}), nil)
	if err != nil {
		return err
	}
	for _, name := range []string{"alternate_config_directories", "multi_instance_directories"} {
		list, _ := snap.Get(name)
		if slices.Contains(config.SplitList(list), dir) {
			return nil
		}
	}
	c.say(maillog.Error, "unauthorized configuration directory name: "+dir)
	return c.fail("specify \"alternate_config_directories = %[1]s\" or \"multi_instance_directories = %[1]s\" in %[2]s",
		dir, standard)
}

// trusted tells whether the caller is root or the owner of the queue.
func (c *command) trusted() bool { return c.UID == 0 || c.isOwner(c.UID) }

// isOwner tells whether a user is mail_owner, by number or name.
func (c *command) isOwner(uid int) bool {
	owner := c.p.Common.MailOwner
	return owner == strconv.Itoa(uid) || owner == userName(uid)
}
