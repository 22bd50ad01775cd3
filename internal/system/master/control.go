package master

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"posthaste/internal/config"
	"posthaste/internal/ipc"
	"posthaste/internal/maillog"
)

const controlUsage = "usage: postfix [-c config_dir] [-Dv] start|start-fg|stop|reload|abort|flush|check|status|logrotate"

// control is the postfix command (postfix(1)): it steers the mail system of one
// configuration directory.
type control struct {
	options *Options
	plan    *plan
	log     *maillog.Logger
	stderr  io.Writer
}

// verbs are the subcommands of postfix.
var verbs = map[string]func(*control) error{
	"start":     func(c *control) error { return c.start("-w") },
	"start-fg":  func(c *control) error { return c.start("-s") },
	"stop":      func(c *control) error { return c.stop(syscall.SIGTERM, "stopping") },
	"abort":     func(c *control) error { return c.stop(syscall.SIGQUIT, "aborting") },
	"reload":    (*control).reload,
	"flush":     (*control).flush,
	"check":     func(*control) error { return nil }, // what can be checked was, before
	"status":    (*control).status,
	"logrotate": (*control).reload, // processes of a new generation open the log anew
}

// Control is the postfix command. It returns the exit status. Messages go to
// the log as well, in the words of Postfix's postfix-script.
func Control(args []string, o Options, stderr io.Writer) int {
	a, words, err := controlArguments(args)
	if err == nil && (len(words) != 1 || verbs[words[0]] == nil) {
		err = errors.New(controlUsage)
	}
	if err == nil {
		o.ConfigDir = config.Dir(a, os.Getenv)
		err = runControl(words[0], &o, stderr)
	}
	if err == nil {
		return 0
	}
	if !errors.Is(err, errSaid) {
		fmt.Fprintf(stderr, "postfix: fatal: %s\n", maillog.Sanitize(err.Error()))
	}
	return 1
}

// errSaid is an error that was printed and logged already.
var errSaid = errors.New("already reported")

func controlArguments(args []string) (dir string, words []string, err error) {
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		switch word := args[0]; {
		case word == "-c" && len(args) > 1:
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
	p, err := load(o)
	if err != nil {
		return err
	}
	file, err := openLog(&p.params)
	if err != nil && verb != "stop" && verb != "abort" && verb != "status" {
		return err
	}
	log, err := newLog(&p.params.Common, file)
	if err != nil {
		return err
	}
	c := &control{o, p, log.WithBase(p.params.Common.SyslogName).Named("postfix-script"), stderr}
	return verbs[verb](c)
}

// say tells the log and whoever started us. On a terminal that shows the log
// (maillog_file = /dev/stdout) it says it once.
func (c *control) say(text string) {
	c.log.Info("%s", text)
	if c.plan.params.Common.MaillogFile != "/dev/stdout" {
		fmt.Fprintf(c.stderr, "postfix/postfix-script: %s\n", text)
	}
}

func (c *control) fail(text string) error {
	c.log.Fatal("%s", text)
	fmt.Fprintf(c.stderr, "postfix/postfix-script: fatal: %s\n", text)
	return errSaid
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
	c.say("starting the Postfix mail system")
	args := []string{flag, "-c", c.options.ConfigDir}
	if flag != "-w" && os.Getpid() == 1 {
		args = append([]string{"-i"}, args...)
	}
	if err := run(args, *c.options); err != nil {
		return c.fail("mail system startup failed: " + maillog.Sanitize(err.Error()))
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
	c.say(what + " the Postfix mail system")
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
// told here and not only in the log.
func (c *control) reload() error {
	pid, err := c.needed()
	if err != nil {
		return err
	}
	c.say("refreshing the Postfix mail system")
	return syscall.Kill(pid, syscall.SIGHUP)
}

func (c *control) status() error {
	pid, err := c.needed()
	if err == nil {
		c.say(fmt.Sprintf("the Postfix mail system is running: PID: %d", pid))
	}
	return err
}

// flush asks qmgr to try all deferred mail (postqueue -f).
func (c *control) flush() error {
	if _, err := c.needed(); err != nil {
		return err
	}
	s, found := c.plan.set.Master.Find("qmgr", "unix")
	if !found {
		return c.fail("no qmgr service of type unix in master.cf")
	}
	dir := "public"
	if s.Private {
		dir = "private"
	}
	return ipc.Trigger(c.plan.params.Common.QueueDirectory+"/"+dir+"/qmgr", "AF")
}
