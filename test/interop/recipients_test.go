package interop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"posthaste/test/harness"
	"posthaste/test/process"
)

// A message with a hundred thousand recipients goes in by SMTP, and one with
// twenty thousand by sendmail -t, and each recipient gets it once. No process
// keeps them all: qmgr_message_recipient_limit bounds that.
func TestManyRecipients(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	i := start(t, `default_transport = discard:
smtpd_recipient_limit = 1000000
smtpd_timeout = 300s
`, nil)
	const bySMTP, bySendmail = 100_000, 20_000
	began := time.Now()
	if err := i.SendMany(bySMTP, func(n int) string { return fmt.Sprintf("r%d@d%d.test", n, n%1000) }); err != nil {
		t.Fatal(err)
	}
	taken := time.Since(began)
	manyDelivered(t, i, bySMTP)
	t.Logf("%d recipients: taken in %v, delivered after %v", bySMTP, taken, time.Since(began))

	var text bytes.Buffer
	text.WriteString("From: a@client.test\nSubject: many\nBcc: ")
	for n := range bySendmail {
		fmt.Fprintf(&text, "s%d@d%d.test,\n ", n, n%500)
	}
	text.WriteString("last@d.test\n\nhello\n")
	cmd := i.Command(context.Background(), "sendmail", "-t", "-i")
	output(t, cmd, text.String())
	manyDelivered(t, i, bySMTP+bySendmail+1)

	for _, pid := range process.Tree(i.MasterPID()) {
		if most := residentPeak(pid); most > 120<<10 {
			t.Errorf("%q took up to %d KiB", process.Command(pid), most)
		}
	}
}

// manyDelivered waits until so many recipients have got their message, none
// twice, and the queue is empty.
func manyDelivered(t *testing.T, i *harness.Instance, count int) {
	t.Helper()
	err := harness.Until(4*time.Minute, func() error {
		n, err := deliveries(i.Log)
		if err == nil && n != count {
			err = fmt.Errorf("%d of %d recipients", n, count)
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(i.LogText()))
	}
	empty(t, i, time.Minute)
}

// deliveries counts the deliveries in a log; one that is there twice is an error.
func deliveries(path string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	seen := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		_, rest, found := strings.Cut(lines.Text(), ": to=<")
		if !found || !strings.Contains(rest, "status=sent") {
			continue
		}
		to, _, _ := strings.Cut(rest, ">")
		if seen[to] {
			return n, errors.New("two deliveries to " + to)
		}
		seen[to] = true
		n++
	}
	return n, nil
}

// residentPeak is the most memory a process has had, in KiB.
func residentPeak(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "kB")))
	return n
}
