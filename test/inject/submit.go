package inject

import (
	"context"
	"strings"
	"time"

	"posthaste/test/harness"
	"posthaste/test/ledger"
)

// submitLimit is how long a sendmail command may take.
const submitLimit = 30 * time.Second

// Submit sends a message with an instance's sendmail command and notes what it
// was told. Exit status 0 is the acknowledgement.
func Submit(i *harness.Instance, l *ledger.Ledger, m ledger.Message) bool {
	ctx, cancel := context.WithTimeout(context.Background(), submitLimit)
	defer cancel()
	sendmail := i.Command(ctx, "sendmail", append([]string{"-i", "-f", m.Sender, "--"}, m.Recipients...)...)
	sendmail.Stdin = strings.NewReader(m.Text())
	l.Dropped(m.ID)
	out, err := sendmail.CombinedOutput()
	switch {
	case err == nil:
		l.Acked(m.ID, "")
	case sendmail.ProcessState == nil || !sendmail.ProcessState.Exited():
		l.Lost(m.ID, ledger.AfterDot)
	default:
		l.Refused(m.ID, "", "exit "+string(out))
	}
	return err == nil
}
