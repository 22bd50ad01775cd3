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
	"postcat":    command.Postcat,
	"postconf":   command.Postconf,
	"postfix":    func(e command.Env) int { return master.Control(e.Args[1:], run.Master(), e.Stderr) },
	"postkick":   command.Postkick,
	"postlock":   command.Postlock,
	"postmap":    command.Postmap,
	"postsuper":  command.Postsuper,
	"qshape":     command.Qshape,
	"sendmail":   command.Sendmail,
	"quickstart": func(e command.Env) int { return quickstart.Main(e.Args[1:], run.Master(), e.Stdout, e.Stderr) },
}

func main() {
	env := command.Env{
		Args: os.Args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		Catalog: run.Catalog(), TableTypes: open.Types(),
	}
	os.Exit(call(env))
}

func call(env command.Env) int {
	if command.Help(env) {
		return 0
	}
	if f := commands[env.Name()]; f != nil {
		return f(env)
	}
	if len(env.Args) > 1 && commands[filepath.Base(env.Args[1])] != nil {
		env.Args = env.Args[1:]
		return call(env)
	}
	names := strings.Join(slices.Sorted(maps.Keys(commands)), " ")
	fmt.Fprintf(env.Stderr, "usage: posthaste COMMAND [ARGUMENT...]\ncommands: %s\n", names)
	return 1
}
