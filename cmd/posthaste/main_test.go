package main

import (
	"bytes"
	"strings"
	"testing"

	"posthaste/internal/command"
)

// Every command of the program tells what its options are, by the name of its
// link and as the first word.
func TestHelp(t *testing.T) {
	for name := range commands {
		if name == "child" { // started by master only
			continue
		}
		for _, args := range [][]string{{"/usr/sbin/" + name, "--help"}, {"posthaste", name, "--help"}} {
			var out, errors bytes.Buffer
			status := call(command.Env{Args: args, Stdout: &out, Stderr: &errors})
			if status != 0 || errors.Len() > 0 || !strings.HasPrefix(out.String(), "usage: "+name+" ") ||
				strings.Contains(out.String(), "\n# ") || strings.Count(out.String(), "\n") < 3 {
				t.Errorf("%q: status %d\n%s%s", args, status, out.String(), errors.String())
			}
		}
	}
}

func TestUnknownCommand(t *testing.T) {
	for _, args := range [][]string{{"posthaste"}, {"posthaste", "nosuch"}, {"nosuch", "nosuch"}, {}} {
		var out, errors bytes.Buffer
		status := call(command.Env{Args: args, Stdout: &out, Stderr: &errors})
		if status != 1 || out.Len() > 0 || !strings.Contains(errors.String(), "commands: ") {
			t.Errorf("%q: status %d\n%s%s", args, status, out.String(), errors.String())
		}
	}
}
