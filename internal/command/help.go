package command

import (
	_ "embed" // help.txt
	"io"
	"strings"
)

// helpText has a section for each command, which begins with a line `# name`.
//
//go:embed help.txt
var helpText string

// Help prints what a command's options are when `--help` is its only argument,
// and tells whether it did.
func Help(env Env) bool {
	if args := env.arguments(); len(args) != 1 || args[0] != "--help" {
		return false
	}
	_, text, found := strings.Cut("\n"+helpText, "\n# "+env.Name()+"\n")
	if !found {
		return false
	}
	text, _, _ = strings.Cut(text, "\n# ")
	io.WriteString(env.Stdout, strings.TrimRight(text, "\n")+"\n")
	return true
}
