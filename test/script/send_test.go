package script

import (
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"posthaste/test/peer"
)

// cmdSend hands one message in by SMTP and expects that it is taken, or that its
// content is refused with REPLY:
//
//	send [-refused REPLY] FILE SENDER RECIPIENT…
//
// FILE is the message, `-` for a short one. An address may be followed by a
// space and parameters of the command: 'a@a.test RET=HDRS'.
func cmdSend(ts *testscript.TestScript, neg bool, args []string) {
	reply := "250 2.0.0 Ok: queued as {*}"
	if len(args) > 1 && args[0] == "-refused" {
		reply, args = args[1], args[2:]
	}
	if len(args) < 3 || neg {
		ts.Fatalf("usage: send [-refused REPLY] FILE SENDER RECIPIENT…")
	}
	s := sceneOf(ts)
	message := "Subject: test\n\ntext\n"
	if args[0] != "-" {
		message = ts.ReadFile(args[0])
	}
	command := func(verb, address string) string {
		address, parameters, _ := strings.Cut(address, " ")
		return strings.TrimSpace(fmt.Sprintf("%s:<%s> %s", verb, address, parameters))
	}
	d := "S: 220 {*}\nC: HELO client.test\nS: 250 {*}\nC: " + command("MAIL FROM", args[1]) + "\nS: 250 {*}\n"
	for _, to := range args[2:] {
		d += "C: " + command("RCPT TO", to) + "\nS: 250 {*}\n"
	}
	d += "C: DATA\nS: 354 {*}\n"
	for line := range strings.SplitSeq(strings.TrimSuffix(message, "\n"), "\n") {
		if strings.HasPrefix(line, ".") {
			line = "." + line
		}
		d += "C: " + line + "\n"
	}
	d += "C: .\nS: " + reply + "\nC: QUIT\nS: 221 {*}\n"
	if err := peer.Dialogue(d, "", s.i.Addr()); err != nil {
		ts.Fatalf("send: %v\nlog:\n%s", err, s.i.LogText())
	}
}
