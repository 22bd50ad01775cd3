package master

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"posthaste/internal/config"
)

// usage is that of master(8), less the options for debugging it by hand.
const usage = "usage: master [-c config_dir] [-d] [-D] [-e exit_time] [-i] [-s] [-t] [-v] [-w]"

// arguments are the options of the master command.
type arguments struct {
	dir      string
	lifetime time.Duration
	init     bool // process 1
	stdout   bool // keep the standard output
	test     bool // only tell whether a mail system runs
	wait     bool // go to the background and wait until mail is served
	started  int  // descriptor on which a waiting parent is told; 0: none
}

func parseArguments(args []string) (arguments, error) {
	var a arguments
	value := func(letter byte, rest string) (string, error) {
		if rest != "" {
			return rest, nil
		}
		if len(args) == 0 {
			return "", fmt.Errorf("option -%c needs a value", letter)
		}
		rest, args = args[0], args[1:]
		return rest, nil
	}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		if len(word) < 2 || word[0] != '-' {
			return a, errors.New(usage)
		}
		for i := 1; i < len(word); i++ {
			letter := word[i]
			if strings.IndexByte("ceR", letter) < 0 {
				if !a.flag(letter) {
					return a, errors.New(usage)
				}
				continue
			}
			text, err := value(letter, word[i+1:])
			if err == nil {
				err = a.set(letter, text)
			}
			if err != nil {
				return a, err
			}
			break
		}
	}
	return a, nil
}

func (a *arguments) flag(letter byte) bool {
	switch letter {
	case 'd', 'D', 'v': // accepted: there is nothing to debug by them here
	case 'i':
		a.init = true
	case 's':
		a.stdout = true
	case 't':
		a.test = true
	case 'w':
		a.wait = true
	default:
		return false
	}
	return true
}

func (a *arguments) set(letter byte, text string) error {
	if letter == 'c' {
		a.dir = text
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return fmt.Errorf("option -%c: bad number %q", letter, text)
	}
	if letter == 'e' {
		a.lifetime = time.Duration(n) * time.Second
	} else {
		a.started = int(n)
	}
	return nil
}

// Main is the master command. It returns the exit status.
func Main(args []string, o Options, stderr io.Writer) int {
	if err := run(args, o); err != nil {
		fmt.Fprintf(stderr, "postfix/master: fatal: %s\n", err)
		return 1
	}
	return 0
}

func run(args []string, o Options) error {
	a, err := parseArguments(args)
	if err != nil {
		return err
	}
	if a.init && os.Getpid() != 1 {
		return errors.New("the -i option is for process 1 only")
	}
	o.ConfigDir, o.Lifetime = config.Dir(a.dir, os.Getenv), a.lifetime
	switch {
	case a.test:
		return testLock(&o)
	case a.wait:
		return background(args, &a, &o)
	case a.started > 0:
		pipe := os.NewFile(uintptr(a.started), "started")
		syscall.CloseOnExec(a.started)
		o.Started = func(err error) {
			text := startedText
			if err != nil {
				text = err.Error()
			}
			pipe.WriteString(text)
			pipe.Close()
		}
	}
	return Run(o)
}

// testLock is -t: an error tells that a mail system runs.
func testLock(o *Options) error {
	p, err := load(o)
	if err != nil {
		return err
	}
	pid, err := Running(p.params.Common.QueueDirectory)
	if err == nil && pid != 0 {
		err = fmt.Errorf("the mail system is running as process %d", pid)
	}
	return err
}

// startedText is what a waiting parent reads when all is well; anything else
// is an error.
const startedText = "\x00started"

// startTime is how long a parent waits.
const startTime = 30 * time.Second

// background starts master again, in a session of its own, and waits until it
// serves mail.
func background(args []string, a *arguments, o *Options) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	rest := slices.DeleteFunc(slices.Clone(args), func(s string) bool { return s == "-w" })
	if len(rest) == len(args) {
		return errors.New("option -w must stand by itself")
	}
	// -R says where to tell; it is the first of the extra files.
	words := append([]string{o.Child[0], "master", "-R", "3"}, rest...)
	cmd := &exec.Cmd{Path: o.Program, Args: words, ExtraFiles: []*os.File{w},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if a.stdout {
		cmd.Stdout = os.Stdout
	}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	r.SetReadDeadline(time.Now().Add(startTime))
	text, err := io.ReadAll(r)
	switch {
	case string(text) == startedText:
		return nil
	case len(text) > 0:
		awaitEnd(cmd)
		return errors.New(string(text))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the mail system does not serve mail after %s: see the log", startTime)
	}
	awaitEnd(cmd)
	return errors.New("the mail system did not start: see the log")
}

// endTime is how long a master that could not start may take to leave.
const endTime = 10 * time.Second

// awaitEnd waits for the end of a master that could not start: its locks are
// free then, and it can be started again.
func awaitEnd(cmd *exec.Cmd) {
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(endTime):
	}
}
