// Package traffic is the mail of tests that break a mail system: clients that
// send, a sink and mailboxes that take what comes out, all booked in a ledger,
// and the main.cf of the site between them.
package traffic

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"posthaste/test/harness"
	"posthaste/test/ledger"
)

// Main is a relay with some mailboxes of its own. Deferred mail is tried again
// soon; everything else about restarts is as it comes. Values fills it in.
const Main = harness.RelayMain + `mydestination =
notify_classes = 2bounce
`

// The recipients.
const (
	BoxDomain  = "box.example.test"
	SinkDomain = "sink.example.test"
	Boxes      = 5
)

// Box is the name of a mailbox.
func Box(n int) string { return fmt.Sprintf("box%d", n%Boxes) }

// Values are the values for Main.
func (s *Sink) Values() map[string]string {
	var maps []string
	for n := range Boxes {
		maps = append(maps, fmt.Sprintf("%s@%s=%s/", Box(n), BoxDomain, Box(n)))
	}
	return map[string]string{"SINK": fmt.Sprint(s.Port), "BOXES": strings.Join(maps, ", "), "BOXDOMAIN": BoxDomain}
}

// ReadMailboxes books what lies in the maildirs of a directory, and returns how
// many unfinished files there are.
func ReadMailboxes(l *ledger.Ledger, dir string) (unfinished int, err error) {
	for n := range Boxes {
		left, err := l.ReadMaildir(filepath.Join(dir, Box(n)), Box(n)+"@"+BoxDomain)
		if err != nil {
			return 0, err
		}
		unfinished += left
	}
	return unfinished, nil
}

// Drain asks for all deferred mail until nothing is left in the queue, within
// bounds: what stays is for the caller to count. progress is told how many
// messages are left.
func Drain(i *harness.Instance, patience time.Duration, quit Quit, progress func(left int)) error {
	var asked time.Time
	for end := time.Now().Add(patience); time.Now().Before(end); {
		left, err := ledger.Waiting(i.Spool)
		if err != nil || left == 0 {
			return err
		}
		progress(left)
		if time.Since(asked) > flushPause {
			i.Run("postfix", "flush") // what a throttled service does not hear is asked again
			asked = time.Now()
		}
		if err := quit.Wait(lookPause); err != nil {
			return err
		}
	}
	return nil
}

const (
	flushPause = 500 * time.Millisecond
	lookPause  = 20 * time.Millisecond
)
