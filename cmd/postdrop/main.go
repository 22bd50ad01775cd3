// Command postdrop is the only program of Posthaste with rights of its own: it is
// setgid to setgid_group, and holds nothing but the three commands that users
// need that group for. Its imports are pinned by a test.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"posthaste/internal/command/setgid"
)

// commands are all that this program can be; it looks at the name it is
// called by and never at its arguments.
var commands = map[string]func(setgid.Env) int{
	"postdrop":  setgid.Postdrop,
	"postlog":   setgid.Postlog,
	"postqueue": setgid.Postqueue,
}

func main() {
	if len(os.Args) > 0 {
		if f := commands[filepath.Base(os.Args[0])]; f != nil {
			os.Exit(setgid.Main(os.Args, f))
		}
	}
	fmt.Fprintln(os.Stderr, "postdrop: fatal: unknown command name")
	os.Exit(69) // EX_UNAVAILABLE
}
