// Command posthaste is a mail transfer agent that runs a Postfix site as it stands.
// This one program is all its processes and all its commands: the name it is
// called by, or its first argument, says which.
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"posthaste/internal/command"
	"posthaste/internal/system/master"
	"posthaste/internal/system/quickstart"
	"posthaste/internal/system/run"
	"posthaste/internal/table/open"
)

// commands are all that this program can be.
var commands = map[string]func(command.Env) int{
	"child":      func(e command.Env) int { return run.Child(e.Args[1:], e.Stderr) },
	"mailq":      command.Sendmail,
	"master":     func(e command.Env) int { return run.MasterMain(e.Args[1:]) },
	"newaliases": command.Newaliases,
	"postalias":  command.Postalias,
	"postconf":   command.Postconf,
	"postfix":    func(e command.Env) int { return master.Control(e.Args[1:], run.Master(), e.Stderr) },
	"postmap":    command.Postmap,
	"sendmail":   command.Sendmail,
	"quickstart": func(e command.Env) int { return quickstart.Main(e.Args[1:], run.Master(), e.Stdout, e.Stderr) },
}

func main() {
	args := os.Args
	name := filepath.Base(args[0])
	if commands[name] == nil && len(args) > 1 {
		args = args[1:]
		name = args[0]
	}
	f := commands[name]
	if f == nil {
		names := slices.Sorted(maps.Keys(commands))
		fmt.Fprintf(os.Stderr, "usage: posthaste COMMAND [ARGUMENT...]\ncommands: %s\n", strings.Join(names, " "))
		if name == "help" {
			os.Exit(0)
		}
		os.Exit(1)
	}
	os.Exit(f(command.Env{
		Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		Catalog: run.Catalog(), TableTypes: open.Types(),
	}))
}
