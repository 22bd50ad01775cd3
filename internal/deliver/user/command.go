package user

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/mailbox"
	"posthaste/internal/table"
)

// exTempFail is EX_TEMPFAIL of sysexits.h.
const exTempFail = 75

// plainCommand are the characters of a command line that needs no shell.
const plainCommand = "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \t"

// argv decides how a command is started. A shell is used only when the command
// has characters that mean something to one, or when a bare name is not a
// program in the path: then it may be a word of the shell (local(8)). path is the
// program; empty: argv[0], which may have to be looked up.
func (c *Command) argv() (path string, argv []string) {
	if c.Line == "" {
		return "", c.Argv
	}
	if c.Shell != "" {
		return "", append(strings.Fields(c.Shell), c.Line)
	}
	words := strings.Fields(c.Line)
	plain := len(words) > 0 && strings.Trim(c.Line, plainCommand) == "" &&
		!strings.ContainsFunc(c.Line, func(r rune) bool { return !strings.ContainsRune(plainCommand, r) })
	if plain && (strings.Contains(words[0], "/") || lookPath(words[0], c.Env) != "") {
		return "", words
	}
	// The name stands in what the shell complains of, and so in notices.
	return "/bin/sh", []string{"sh", "-c", c.Line}
}

// lookPath finds a program in the PATH of the command, not in that of this process.
func lookPath(name string, env []string) string {
	for _, e := range env {
		path, ok := strings.CutPrefix(e, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range strings.Split(path, ":") {
			file := dir + "/" + name
			if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
				return file
			}
		}
	}
	return ""
}

// run starts the command in a process group of its own, feeds it the message
// and waits for it. At the time limit the whole group is killed.
func (c *Command) run(ctx context.Context) (Outcome, error) {
	path, argv := c.argv()
	if len(argv) == 0 {
		return Outcome{}, &mail.Error{Reply: 550, Code: "5.3.5", Text: "mail system configuration error: empty command"}
	}
	if c.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Limit)
		defer cancel()
	}
	if path == "" {
		path = argv[0]
	}
	if !strings.Contains(path, "/") {
		path = lookPath(path, c.Env)
	}
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.Args = argv
	cmd.Err = nil // a name without path was looked up above
	cmd.Env = append(make([]string, 0, len(c.Env)), c.Env...)
	cmd.Dir = c.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	var output headBuffer
	cmd.Stdout, cmd.Stderr = &output, &output
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return Outcome{}, localFault(err)
	}
	if err := cmd.Start(); err != nil {
		stdin.Close()
		return notStarted(argv[0], c.Dir, err)
	}
	fed := c.feed(stdin, cmd.Cancel)
	cmd.Wait() // what became of it is in ProcessState
	// What the command left running in its group must not outlive it: it still
	// holds our pipe, and the recipient's time is used up.
	timedOut := errors.Is(ctx.Err(), context.DeadlineExceeded)
	if timedOut {
		cmd.Cancel()
	}
	var broken *mailbox.SourceError
	if errors.As(<-fed, &broken) {
		return Outcome{}, &mail.Error{Reply: 450, Code: "4.3.0", Text: "error reading message", Err: broken}
	}
	if ctx.Err() != nil && !timedOut {
		return Outcome{}, &mail.Error{Reply: 450, Code: "4.3.0", Text: "delivery was interrupted"}
	}
	return outcome(cmd.ProcessState, timedOut, output.bytes()), nil
}

// feed writes the message to the command. When the message turns out to be
// damaged the command is killed before it sees the end of its input, so that
// it cannot take a part for the whole. A command that does not read everything
// is no fault.
func (c *Command) feed(stdin io.WriteCloser, kill func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		err := c.Message.Write(stdin, c.Format)
		var broken *mailbox.SourceError
		if errors.As(err, &broken) {
			kill()
		}
		stdin.Close()
		done <- err
	}()
	return done
}

func outcome(st *os.ProcessState, timedOut bool, output []byte) Outcome {
	o := Outcome{TimedOut: timedOut, Output: output}
	ws, ok := st.Sys().(syscall.WaitStatus)
	switch {
	case ok && ws.Signaled():
		o.Signal = int(ws.Signal())
	default:
		o.Exit = st.ExitCode()
	}
	return o
}

// notStarted is what a command looks like that cannot be executed: the same as
// with Postfix, whose child reports it on its output and leaves with EX_TEMPFAIL.
func notStarted(name, dir string, err error) (Outcome, error) {
	if dir != "" {
		if _, stat := os.Stat(dir); stat != nil {
			return Outcome{Exit: exTempFail, Output: []byte("cannot change directory to \"" + dir + "\": " + table.ErrorText(stat))}, nil
		}
	}
	for _, full := range []error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, full) {
			return Outcome{}, localFault(err)
		}
	}
	return Outcome{Exit: exTempFail, Output: []byte("local: fatal: execvp " + name + ": " + table.ErrorText(err))}, nil
}

func localFault(err error) error {
	return &mail.Error{Reply: 450, Code: "4.3.0", Text: "cannot start a process: " + table.ErrorText(err), Err: err}
}

// headBuffer keeps the first MaxOutput bytes and swallows the rest.
type headBuffer struct {
	mu   sync.Mutex // exec may still copy after WaitDelay
	data []byte
}

func (b *headBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p[:min(len(p), MaxOutput-len(b.data))]...)
	return len(p), nil
}

func (b *headBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data
}
