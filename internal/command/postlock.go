package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"posthaste/internal/config"
	"posthaste/internal/deliver/user"
	"posthaste/internal/mail"
	"posthaste/internal/mailbox"
	"posthaste/internal/table"
)

const postlockUsage = "[-c config_dir] [-l lock_style] [-v] folder command..."

// exTempFail is EX_TEMPFAIL of sysexits(3): postlock could not do it now.
const exTempFail = 75

// Postlock is postlock(1): it runs a command while a mailbox file is locked as
// the local delivery agent locks it. The exit status is the command's, 75 when
// the lock could not be had.
func Postlock(env Env) int {
	dir, style := "", ""
	opts := NewOptions(env.arguments(), "c!l:v")
	option, value, err := opts.Next()
	for ; err == nil; option, value, err = opts.Next() {
		switch option {
		case 'c':
			dir = value
		case 'l':
			style = value
		}
	}
	if !errors.Is(err, io.EOF) || len(opts.Rest()) < 2 {
		env.Usage(err, postlockUsage)
		return exTempFail
	}
	file, command := opts.Rest()[0], opts.Rest()[1:]
	locked, err := lockFolder(env, dir, style, file)
	if err != nil {
		env.Fatal("%v", err)
		return exTempFail
	}
	defer locked.Close()
	return runLocked(env, command)
}

func lockFolder(env Env, dir, style, file string) (*mailbox.Locked, error) {
	s, err := openInstance(env, dir)
	if err != nil {
		return nil, err
	}
	var params user.Params
	if err := s.snap.Bind(&params); err != nil {
		return nil, err
	}
	const name = "mailbox_delivery_lock"
	if style == "" {
		if style, _, err = s.snap.Lookup(name); err != nil {
			return nil, err
		}
	}
	locks, err := mailbox.ParseLocks(config.SplitList(style))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	o := params.Options(locks, 0, s.common.MyHostname)
	o.StrictOwner = false // whoever may write to the file may lock it
	locked, warnings, err := mailbox.LockMbox(context.Background(), file, o)
	for _, w := range warnings {
		env.Warn("%s", w)
	}
	var reason *mail.Error
	if errors.As(err, &reason) {
		err = errors.New(reason.Text)
	}
	if err != nil {
		return nil, fmt.Errorf("open file %s: %w", file, err)
	}
	return locked, nil
}

// runLocked runs the command, without a shell, and returns its exit status; 1
// when it was ended by a signal or could not be started, as Postfix does.
func runLocked(env Env, words []string) int {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = env.Stdin, env.Stdout, env.Stderr
	cmd.Env = os.Environ()
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return max(exit.ExitCode(), -exit.ExitCode())
	}
	if errors.Is(err, exec.ErrNotFound) {
		err = syscall.ENOENT
	}
	return env.Fatal("execvp %s: %s", words[0], table.ErrorText(err))
}
