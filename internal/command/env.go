// Package command is the command-line programs: postconf, sendmail, postqueue
// and the rest, one file or a few per command. A command is a function that
// takes an Env and returns the exit status; it may read and write what its
// user may, and it talks to the running system by files and sockets only.
package command

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"posthaste/internal/config"
)

// Env is what a command gets from its caller. Nothing else of the process is
// used, so a test runs a command by giving it another Env.
type Env struct {
	Args   []string // Args[0] is the name the command was called by
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string

	Catalog    *config.Catalog // all parameters
	TableTypes []string        // lookup table types that are there, sorted; for postconf -m
}

// Name is the name the command was called by, without directory.
func (env Env) Name() string {
	if len(env.Args) == 0 {
		return "posthaste"
	}
	name := env.Args[0]
	return name[strings.LastIndexByte(name, '/')+1:]
}

// arguments are the command line without the command's name.
func (env Env) arguments() []string { return env.Args[min(1, len(env.Args)):] }

// Warn prints `name: warning: text` on standard error.
func (env Env) Warn(format string, args ...any) {
	fmt.Fprintf(env.Stderr, "%s: warning: %s\n", env.Name(), logSafe(fmt.Sprintf(format, args...)))
}

// Fatal prints `name: fatal: text` on standard error and returns exit status 1.
func (env Env) Fatal(format string, args ...any) int {
	fmt.Fprintf(env.Stderr, "%s: fatal: %s\n", env.Name(), logSafe(fmt.Sprintf(format, args...)))
	return 1
}

// Usage reports an error of Options.Next in getopt's words, then the usage
// text, and returns exit status 1.
func (env Env) Usage(err error, usage string) int {
	var bad *OptionError
	if errors.As(err, &bad) {
		fmt.Fprintf(env.Stderr, "%s: %v\n", env.Name(), bad)
	}
	return env.Fatal("usage: %s %s", env.Name(), usage)
}

// logSafe replaces control bytes by '?', as Postfix does in all it logs.
func logSafe(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}
