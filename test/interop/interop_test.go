// Package interop tests against clients, commands and servers that others
// wrote: swaks, smtp-source, smtplib, s-nail, Dovecot, and the real Postfix on
// the same queue directory. Each message is compared byte by byte, or by the
// books of package ledger. A test whose program is missing says SKIPPED.
package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"posthaste/test/harness"
	"posthaste/test/ledger"
	"posthaste/test/peer"
)

// patience is how long a test waits for something to happen.
const patience = 20 * time.Second

const (
	boxDomain  = "box.example.test"
	sinkDomain = "sink.example.test"
)

// boxes is a main.cf with mailboxes, each a maildir mail/NAME; mail to others
// goes to the port @SINK@.
func boxes(names ...string) string {
	var maps []string
	for _, name := range names {
		maps = append(maps, fmt.Sprintf("{%s@%s=%s/}", name, boxDomain, name))
	}
	return `mydestination =
relayhost = [127.0.0.1]:@SINK@
virtual_mailbox_domains = ` + boxDomain + `
virtual_mailbox_base = @DIR@/mail
virtual_mailbox_maps = inline:{` + strings.Join(maps, ", ") + `}
virtual_minimum_uid = 1
virtual_uid_maps = static:@UID@
virtual_gid_maps = static:@GID@
`
}

// program is the path of a program of somebody else; the test is skipped when it
// is not there.
func program(t *testing.T, name, debianPackage string) string {
	t.Helper()
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/bin", "/sbin"} {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: no program %s (Debian package %s)", name, debianPackage)
	}
	return path
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// lay prepares an instance and starts nothing; the test's end removes it.
func lay(t *testing.T, c harness.Config) *harness.Instance {
	t.Helper()
	if c.Values == nil {
		c.Values = map[string]string{"SINK": "1"} // nobody listens there
	}
	i, err := harness.New(c)
	if errors.Is(err, harness.ErrUnavailable) {
		t.Skip("SKIPPED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", i.System, tail(i.LogText()))
		}
		if err := i.Stop(); err != nil {
			t.Error(err)
		}
	})
	return i
}

// tail is the end of a long text.
func tail(text string) string { return text[max(0, len(text)-8000):] }

// start starts a system of ours.
func start(t *testing.T, main string, values map[string]string) *harness.Instance {
	t.Helper()
	i := lay(t, harness.Config{System: harness.Ours, Main: main, Values: values})
	mustStart(t, i)
	return i
}

func mustStart(t *testing.T, i *harness.Instance) {
	t.Helper()
	if !exists(i.Program("postfix")) {
		t.Fatalf("the commands are not built: run `make build` first")
	}
	if err := i.Start(); err != nil {
		t.Fatal(err)
	}
}

// newSink starts a server for the mail that goes out.
func newSink(t *testing.T) (*peer.Sink, map[string]string) {
	t.Helper()
	s, err := peer.NewSink()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, map[string]string{"SINK": fmt.Sprint(s.Port)}
}

// run runs a program of somebody else and returns what it printed.
func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return output(t, exec.CommandContext(ctx, name, args...), stdin)
}

func output(t *testing.T, cmd *exec.Cmd, stdin string) string {
	t.Helper()
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// must runs a command of the system.
func must(t *testing.T, i *harness.Instance, name string, args ...string) string {
	t.Helper()
	out, err := i.Run(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// arrived waits until a mailbox holds n messages and returns them.
func arrived(t *testing.T, i *harness.Instance, box string, n int) []string {
	t.Helper()
	return delivered(t, filepath.Join(i.Dir, "mail", box), n)
}

// delivered waits until a maildir holds n messages and returns them.
func delivered(t *testing.T, maildir string, n int) []string {
	t.Helper()
	var found []string
	err := harness.Until(patience, func() error {
		found = nil
		files, _ := filepath.Glob(filepath.Join(maildir, "new", "*"))
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			found = append(found, string(text))
		}
		if len(found) < n {
			return fmt.Errorf("%s: %d messages of %d", maildir, len(found), n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) > n {
		t.Fatalf("%s: %d messages instead of %d:\n%s", maildir, len(found), n, strings.Join(found, "\n-----\n"))
	}
	return found
}

// prepended is what delivery by SMTP adds in front of a message.
var prepended = regexp.MustCompile(`\AReturn-Path: <.*>\nX-Original-To: \S+\nDelivered-To: \S+\nReceived: (?:.*\n)(?:\t.*\n)+\z`)

// same compares a message that arrived with the one that was sent; both with LF
// line ends.
func same(t *testing.T, got, sent string) {
	t.Helper()
	if front, ok := strings.CutSuffix(got, sent); !ok || !prepended.MatchString(front) {
		t.Errorf("arrived:\n%q\nsent:\n%q", got, sent)
	}
}

// empty waits until the queue is empty.
func empty(t *testing.T, i *harness.Instance, limit time.Duration) {
	t.Helper()
	waiting(t, i, 0, limit)
}

// waiting waits until the queue holds n messages.
func waiting(t *testing.T, i *harness.Instance, n int, limit time.Duration) {
	t.Helper()
	err := harness.Until(limit, func() error {
		got, err := ledger.Waiting(i.Spool)
		if err == nil && got != n {
			err = fmt.Errorf("%d messages are in the queue instead of %d", got, n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// play holds a dialogue with the SMTP server of a system.
func play(t *testing.T, i *harness.Instance, dialogue string) {
	t.Helper()
	if err := peer.Dialogue(dialogue, "", i.Addr()); err != nil {
		t.Fatal(err)
	}
}

// background starts a server, which the test's end stops with a signal and waits
// for.
func background(t *testing.T, cmd *exec.Cmd, end os.Signal) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(end)
		late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer late.Stop()
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			t.Error(err)
		}
	})
}
