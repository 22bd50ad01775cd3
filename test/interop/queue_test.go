package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posthaste/test/harness"
	"posthaste/test/peer"
)

// deferring is a system with one message in deferred, to three recipients of
// which one has it, and the message's id.
func deferring(t *testing.T, system harness.System) (*harness.Instance, string) {
	t.Helper()
	sink, values := newSink(t)
	sink.Judge(func(verb string, t peer.Transaction) string {
		if verb == "RCPT" && strings.HasPrefix(t.Recipients[len(t.Recipients)-1], "later") {
			return "450 4.2.0 come again \"later\""
		}
		return ""
	})
	i := lay(t, harness.Config{System: system, Main: boxes(), Values: values})
	mustStart(t, i)
	const text = `S: 220 {*}
C: EHLO client.test
S: 250-mx.example.test
S: 250-PIPELINING
S: 250-SIZE 10240000
S: 250-VRFY
S: 250-ETRN
S: 250-ENHANCEDSTATUSCODES
S: 250-8BITMIME
S: 250-DSN
S: 250-SMTPUTF8
S: 250 CHUNKING
C: MAIL FROM:<a@client.test> BODY=8BITMIME RET=HDRS ENVID=the+2Bid
S: 250 {*}
C: RCPT TO:<later1@sink.example.test> NOTIFY=FAILURE ORCPT=rfc822;orig@client.test
S: 250 {*}
C: RCPT TO:<now@sink.example.test>
S: 250 {*}
C: RCPT TO:<later2@sink.example.test>
S: 250 {*}
C: DATA
S: 354 {*}
C: Subject: deferred
C: X-Folded: one
C:  two
C: 
C+ gr\xc3\xbc\xc3\x9fe \x00\xff\r\n
C: ..
C: last line
C: .
S: 250 2.0.0 Ok: queued as {*}
C: QUIT
S: 221 {*}
`
	play(t, i, text)
	var id string
	err := harness.Until(patience, func() error {
		found, _ := filepath.Glob(filepath.Join(i.Spool, "deferred", "*", "*"))
		if len(found) != 1 || strings.Count(i.LogText(), "status=deferred") != 2 || !strings.Contains(i.LogText(), "status=sent") {
			return fmt.Errorf("%d messages are deferred instead of 1", len(found))
		}
		id = filepath.Base(found[0])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return i, id
}

// both runs a command of ours and of the real Postfix on the same instance and
// wants the same output.
func both(t *testing.T, i *harness.Instance, name string, args ...string) string {
	t.Helper()
	var out [2]string
	for n, system := range []harness.System{harness.Postfix, harness.Ours} {
		as, err := i.As(system)
		if errors.Is(err, harness.ErrUnavailable) {
			t.Skip("SKIPPED: ", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := as.Command(t.Context(), name, args...).Output() // -v talks on the other channel
		if err != nil {
			t.Fatalf("%s %v of %s: %v", name, args, system, err)
		}
		out[n] = string(text)
	}
	if out[0] != out[1] {
		t.Errorf("%s %s on the queue of %s: Postfix:\n%s\nours:\n%s", name, strings.Join(args, " "), i.System, out[0], out[1])
	}
	return out[1]
}

// listing is a line of `postqueue -j`.
type listing struct {
	Queue      string `json:"queue_name"`
	ID         string `json:"queue_id"`
	Sender     string `json:"sender"`
	Recipients []struct {
		Address string `json:"address"`
		Reason  string `json:"delay_reason"`
	} `json:"recipients"`
}

// The commands of each system read the queue of the other, whose files and
// sockets they meet.
func TestQueueCommands(t *testing.T) {
	t.Parallel()
	for _, system := range []harness.System{harness.Ours, harness.Postfix} {
		t.Run(string(system), func(t *testing.T) {
			t.Parallel()
			if os.Geteuid() != 0 {
				t.Skip("SKIPPED: the real postqueue reads a configuration of one's own only for root")
			}
			program(t, "postcat", "postfix")
			i, id := deferring(t, system)
			text := both(t, i, "postcat", "-q", id)
			for _, want := range []string{"\nrecipient: later1@sink.example.test\n", "\nrecipient: later2@sink.example.test\n",
				"\ndone_recipient: now@sink.example.test\n", "\nsender: a@client.test\n", "\nlast line\n"} {
				if strings.Count(text, want) != 1 {
					t.Errorf("postcat shows %q %d times:\n%s", want, strings.Count(text, want), text)
				}
			}
			for _, flags := range []string{"-eq", "-hq", "-bq", "-vq", "-oq", "-dq"} {
				both(t, i, "postcat", flags, id)
			}
			both(t, i, "postqueue", "-p")
			var l listing
			if line := both(t, i, "postqueue", "-j"); json.Unmarshal([]byte(line), &l) != nil || l.ID != id ||
				l.Queue != "deferred" || l.Sender != "a@client.test" || len(l.Recipients) != 2 ||
				l.Recipients[0].Address != "later1@sink.example.test" || !strings.Contains(l.Recipients[1].Reason, `450 4.2.0 come again "later"`) {
				t.Errorf("postqueue -j: %s", line)
			}
			flushes(t, i, id)
		})
	}
}

// flushes lets each system's postqueue ask for the message.
func flushes(t *testing.T, i *harness.Instance, id string) {
	t.Helper()
	attempts := func() int { return strings.Count(i.LogText(), "status=deferred") }
	for _, system := range []harness.System{harness.Postfix, harness.Ours} {
		as, err := i.As(system)
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"-f"}, {"-i", id}} {
			before := attempts()
			must(t, as, "postqueue", args...)
			err := harness.Until(patience, func() error {
				if attempts() < before+2 {
					return fmt.Errorf("postqueue %v of %s made nobody try again", args, system)
				}
				if n, _ := filepath.Glob(filepath.Join(i.Spool, "deferred", "*", id)); len(n) != 1 {
					return errors.New("the message is not deferred again")
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
}
