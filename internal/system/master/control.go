package master

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/internal/config"
	"posthaste/internal/ipc"
	"posthaste/internal/maillog"
)

const controlUsage = "usage: postfix [-c config_dir] [-Dv] command"

// control is the postfix command (postfix(1)): it steers the mail system of one
// configuration directory.
type control struct {
	options *Options
	plan    *plan
	file    *os.File // maillog_file; nil: syslog
	log     *maillog.Logger
	stderr  io.Writer
}

// verbs are the subcommands of postfix.
var verbs = map[string]func(*control) error{
	"start":                 func(c *control) error { return c.start("-w") },
	"start-fg":              func(c *control) error { return c.start("-s") },
	"stop":                  func(c *control) error { return c.stop(syscall.SIGTERM, "stopping") },
	"abort":                 func(c *control) error { return c.stop(syscall.SIGQUIT, "aborting") },
	"reload":                (*control).reload,
	"flush":                 (*control).flush,
	"check":                 (*control).check,
	"status":                (*control).status,
	"set-permissions":       (*control).setPermissions,
	"upgrade-configuration": (*control).upgrade,
	"logrotate":             (*control).logrotate,
}

// Control is the postfix command. It returns the exit status. Messages go to
// the log as well, in the words of Postfix's postfix-script.
func Control(args []string, o Options, stderr io.Writer) int {
	a, words, err := controlArguments(args)
	if err == nil && len(words) != 1 {
		err = errors.New(controlUsage)
	}
	if err == nil {
		// postsuper, which is called from here, wants an absolute name.
		o.ConfigDir, err = filepath.Abs(config.Dir(a, os.Getenv))
	}
	if err == nil {
		err = runControl(words[0], &o, stderr)
	}
	var done said
	switch {
	case err == nil:
		return 0
	case errors.As(err, &done):
		return int(done)
	}
	fmt.Fprintf(stderr, "postfix: fatal: %s\n", maillog.Sanitize(err.Error()))
	return 1
}

// said is an error that was printed and logged already: the exit status.
type said int

func (s said) Error() string { return "already reported" }

func controlArguments(args []string) (dir string, words []string, err error) {
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		switch word := args[0]; {
		case word == "-c" && len(args) > 1 && args[1] != "":
			dir, args = args[1], args[1:]
		case word[:2] == "-c" && len(word) > 2:
			dir = word[2:]
		case word == "-v" || word == "-D" || word == "-vD" || word == "-Dv" || word == "-vv":
		default:
			return "", nil, errors.New(controlUsage)
		}
		args = args[1:]
	}
	return dir, args, nil
}

func runControl(verb string, o *Options, stderr io.Writer) error {
	read := load
	steers := slices.Contains([]string{"stop", "abort", "status", "flush"}, verb)
	if steers {
		read = loadMain
	}
	p, err := read(o)
	if err != nil {
		return err
	}
	file, err := openLog(&p.params)
	if err != nil && !steers {
		return err
	}
	log, err := newLog(&p.params.Common, file)
	if err != nil {
		return err
	}
	c := &control{o, p, file, log.WithBase(p.params.Common.SyslogName).Named("postfix-script"), stderr}
	f := verbs[verb]
	if f == nil {
		return c.fail("unknown command: '%s'. Usage: postfix start (or stop, reload, abort, flush, check, status, "+
			"set-permissions, upgrade-configuration, logrotate)", verb)
	}
	return f(c)
}

// say tells the log, and the terminal when there is one: a script, or cron,
// wants to hear of trouble only. On a terminal that shows the log
// (maillog_file = /dev/stdout) it says it once.
func (c *control) say(format string, args ...any) {
	c.log.Info(format, args...)
	if c.plan.params.Common.MaillogFile != "/dev/stdout" && terminal(c.stderr) {
		c.print("", format, args)
	}
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func (c *control) warn(format string, args ...any) {
	c.log.Warning(format, args...)
	c.print("warning: ", format, args)
}

func (c *control) fail(format string, args ...any) error {
	c.log.Fatal(format, args...)
	c.print("fatal: ", format, args)
	return said(1)
}

func (c *control) print(prefix, format string, args []any) {
	fmt.Fprintf(c.stderr, "postfix/postfix-script: %s%s\n", prefix, maillog.Sanitize(fmt.Sprintf(format, args...)))
}

// running returns the process id of master, 0 when none runs.
func (c *control) running() (int, error) { return Running(c.plan.params.Common.QueueDirectory) }

func (c *control) start(flag string) error {
	pid, err := c.running()
	if err != nil {
		return err
	}
	if pid != 0 {
		return c.fail("the Postfix mail system is already running")
	}
	if err := c.integrity(c.early()...); err != nil {
		c.fail("%s", err)
		return c.fail("Postfix integrity check failed!")
	}
	c.inspect(false)
	c.say("starting the Postfix mail system")
	args := []string{flag, "-c", c.options.ConfigDir}
	if flag != "-w" && os.Getpid() == 1 {
		args = append([]string{"-i"}, args...)
	}
	if err := run(args, *c.options); err != nil {
		return c.fail("mail system startup failed: %s", err)
	}
	return nil
}

// needed returns the process id of a master that must be there.
func (c *control) needed() (int, error) {
	pid, err := c.running()
	if err == nil && pid == 0 {
		err = c.fail("the Postfix mail system is not running")
	}
	return pid, err
}

// patience is how long stop waits beyond what master itself allows.
const patience = 3 * time.Second

func (c *control) stop(s syscall.Signal, what string) error {
	pid, err := c.needed()
	if err != nil {
		return err
	}
	c.say("%s the Postfix mail system", what)
	if err := syscall.Kill(pid, s); err != nil {
		return err
	}
	for end := time.Now().Add(stopTime + patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if now, err := c.running(); err != nil || now != pid {
			return err
		}
	}
	return c.fail("the Postfix mail system does not stop")
}

// reload was preceded by a check of the configuration, so that a broken one is
// told here and not only in the log. hash_queue_depth may be another now: files
// are put where the new generation looks for them.
func (c *control) reload() error {
	pid, err := c.needed()
	if err != nil {
		return err
	}
	c.say("refreshing the Postfix mail system")
	if err := c.repair("active"); err != nil {
		return c.fail("%s", err)
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return err
	}
	if err := c.repair(c.early()...); err != nil {
		c.warn("%s", err)
	}
	return nil
}

// status is no error message when no mail system runs: it is the answer.
func (c *control) status() error {
	pid, err := c.running()
	switch {
	case err != nil:
		return err
	case pid == 0:
		c.say("the Postfix mail system is not running")
		return said(1)
	}
	c.say("the Postfix mail system is running: PID: %d", pid)
	return nil
}

// flush asks qmgr to try all deferred mail (postqueue -f).
func (c *control) flush() error {
	pid, err := c.running()
	if err != nil {
		return err
	}
	if pid == 0 {
		const exUnavailable = 69 // that of postqueue, which does this in Postfix
		fmt.Fprintln(c.stderr, "postqueue: fatal: Cannot flush mail queue - mail system is down")
		return said(exUnavailable)
	}
	err = ipc.Trigger(c.plan.params.Common.QueueDirectory+"/public/qmgr", "AF", ipc.TriggerTime)
	if errors.Is(err, fs.ErrNotExist) {
		err = ipc.Trigger(c.plan.params.Common.QueueDirectory+"/private/qmgr", "AF", ipc.TriggerTime)
	}
	return err
}
