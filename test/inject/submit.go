package inject

import (
	"os/exec"
	"strings"

	"posthaste/test/ledger"
)

// Submit sends a message with a sendmail command, which is completed with
// sender and recipients, and notes what it was told. Exit status 0 is the
// acknowledgement.
func Submit(sendmail *exec.Cmd, l *ledger.Ledger, m ledger.Message) bool {
	sendmail.Args = append(append(sendmail.Args, "-i", "-f", m.Sender, "--"), m.Recipients...)
	sendmail.Stdin = strings.NewReader(m.Text())
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
