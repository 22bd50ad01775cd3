package interop

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"posthaste/test/harness"
)

const submitText = "Date: Thu, 01 Jan 2026 00:00:00 +0000\nFrom: <me@client.test>\nTo: b1@box.example.test\n" +
	"Message-Id: <1@client.test>\nSubject: \u00fc\n\n.\n..\nFrom here\nno newline at the end: \xff\x80"

// The sendmail command of each system hands mail to the postdrop command of the
// other, which command_directory leads to, in a system of ours.
func TestSubmission(t *testing.T) {
	t.Parallel()
	program(t, "postdrop", "postfix")
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: the real sendmail and postdrop read a configuration of one's own only for root")
	}
	for sendmail, postdrop := range map[harness.System]harness.System{harness.Postfix: harness.Ours, harness.Ours: harness.Postfix} {
		t.Run(fmt.Sprintf("sendmail of %s, postdrop of %s", sendmail, postdrop), func(t *testing.T) {
			t.Parallel()
			main := boxes("b1", "b2", "b3")
			if postdrop == harness.Postfix {
				main += "command_directory = /usr/sbin\n"
			}
			i := start(t, main, nil)
			path := i.Program("sendmail")
			if sendmail == harness.Postfix {
				path = program(t, "sendmail", "postfix")
			}
			submit(t, i, path)
			empty(t, i, patience)
		})
	}
}

// submit hands in mail with the recipients of its header, and of the command line.
func submit(t *testing.T, i *harness.Instance, sendmail string) {
	t.Helper()
	for _, args := range [][]string{{"-t"}, {"-B8BITMIME", "-N", "failure", "--", "b2@" + boxDomain, "b3@" + boxDomain}} {
		args = append([]string{"-C", i.Conf, "-i", "-f", "me@client.test"}, args...)
		out := output(t, exec.CommandContext(t.Context(), sendmail, args...), submitText)
		if out != "" {
			t.Errorf("%s said %q", sendmail, out)
		}
	}
	pickedUp := fmt.Sprintf("\nReceived: by mx.example.test (Postfix, from userid %d)\n", os.Geteuid())
	for _, box := range []string{"b1", "b2", "b3"} {
		got := arrived(t, i, box, 1)[0]
		same(t, got, submitText+"\n")
		if !strings.HasPrefix(got, "Return-Path: <me@client.test>\n") || !strings.Contains(got, pickedUp) {
			t.Errorf("%s:\n%s", box, got)
		}
	}
}
