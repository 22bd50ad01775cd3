package interop

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"posthaste/test/harness"
	"posthaste/test/peer"
)

// report is what testdata/send.py prints.
type report struct {
	Features []string         `json:"features"`
	Eight    []byte           `json:"eight"` // texts as they went out
	UTF8     []byte           `json:"utf8"`
	Part     []byte           `json:"part"`
	Many     map[string]any   `json:"refused of many"`
	Partly   map[string][]any `json:"partly"`
	Refused  map[string][]any `json:"refused"`
	TooLarge []any            `json:"too large"`
	Data     []any            `json:"data"`
	Verify   int              `json:"verify"`
	Noop     int              `json:"noop"`
	Errors   []int            `json:"errors"`
}

func TestSmtplib(t *testing.T) {
	t.Parallel()
	python := program(t, "python3", "python3")
	sink, values := newSink(t)
	main := boxes("eight", "part", "success", "sender", "\u043f\u043e\u0447\u0442\u0430") +
		"message_size_limit = 200000\nheader_checks = regexp:@DIR@/etc/header_checks\n"
	i := lay(t, harness.Config{System: harness.Ours, Main: main, Values: values,
		Files: map[string]string{"etc/header_checks": "/^X-Refuse:/ REJECT refused by its header\n"}})
	mustStart(t, i)
	out := run(t, "", python, "testdata/send.py", "127.0.0.1", fmt.Sprint(i.Port), boxDomain, sinkDomain)
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"pipelining", "size", "etrn", "enhancedstatuscodes", "8bitmime", "dsn", "smtputf8", "chunking", "vrfy"} {
		if !slices.Contains(r.Features, want) {
			t.Errorf("smtplib did not see %s in %v", want, r.Features)
		}
	}
	for box, sent := range map[string][]byte{"eight": r.Eight, "\u043f\u043e\u0447\u0442\u0430": r.UTF8, "part": r.Part} {
		same(t, arrived(t, i, box, 1)[0], strings.ReplaceAll(string(sent), "\r\n", "\n"))
	}
	smtplibErrors(t, &r)
	t.Run("DSN", func(t *testing.T) {
		arrived(t, i, "success", 1)
		notice := arrived(t, i, "sender", 1)[0]
		if want := "{*}Original-Envelope-Id: id2\n{*}Final-Recipient: rfc822; success@" + boxDomain + "\n{*}Action: delivered\nStatus: 2.0.0\n{*}"; !peer.Match(want, notice) {
			t.Errorf("notice of success:\n%s", notice)
		}
	})
	t.Run("sink", func(t *testing.T) { smtplibSink(t, sink) })
	empty(t, i, patience)
}

// smtplibErrors checks what the client made of refusals.
func smtplibErrors(t *testing.T, r *report) {
	t.Helper()
	unknown := func(name string) []any {
		return []any{550.0, fmt.Sprintf("5.1.1 <%s@%s>: Recipient address rejected: User unknown in virtual mailbox table", name, boxDomain)}
	}
	if len(r.Many) != 0 {
		t.Errorf("of 100 recipients were refused: %v", r.Many)
	}
	if len(r.Partly) != 1 || len(r.Partly["nobody@"+boxDomain]) != 2 || r.Partly["nobody@"+boxDomain][0] != 550.0 {
		t.Errorf("refused in part: %v", r.Partly)
	}
	if len(r.Refused) != 2 {
		t.Errorf("SMTPRecipientsRefused: %v", r.Refused)
	}
	for _, name := range []string{"nobody", "noone"} {
		if got := r.Refused[name+"@"+boxDomain]; !slices.Equal(got, unknown(name)) {
			t.Errorf("SMTPRecipientsRefused: %v", got)
		}
	}
	if want := []any{552.0, "5.3.4 Message size exceeds fixed limit", "sender@" + boxDomain}; !slices.Equal(r.TooLarge, want) {
		t.Errorf("SMTPSenderRefused: %v", r.TooLarge)
	}
	if want := []any{550.0, "5.7.1 refused by its header"}; !slices.Equal(r.Data, want) {
		t.Errorf("SMTPDataError: %v", r.Data)
	}
	if r.Verify != 252 || r.Noop != 250 || !slices.Equal(r.Errors, []int{500, 501}) {
		t.Errorf("VRFY %d, NOOP %d, errors %v", r.Verify, r.Noop, r.Errors)
	}
}

// smtplibSink checks what was relayed: DSN parameters, and each of 100
// recipients once, in transactions of 50.
func smtplibSink(t *testing.T, sink *peer.Sink) {
	if err := sink.Wait(3, patience); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	var dsn string
	for _, m := range sink.Messages() {
		envelope, _, _ := strings.Cut(m, "\n\n")
		if strings.Contains(envelope, "<dsn@") {
			dsn = envelope
			continue
		}
		for line := range strings.Lines(envelope) {
			if rest, ok := strings.CutPrefix(line, "RCPT TO:<"); ok {
				address, _, _ := strings.Cut(rest, ">")
				seen[address]++
			}
		}
	}
	want := "MAIL FROM:<sender@" + boxDomain + "> SIZE={*} ENVID=id+2B1 RET=HDRS\nRCPT TO:<dsn@" + sinkDomain +
		"> ORCPT=rfc822;first+2Bone@client.test NOTIFY=FAILURE,DELAY"
	if !peer.Match(want, dsn) {
		t.Errorf("DSN parameters passed on: %s", dsn)
	}
	for n := range 100 {
		if address := fmt.Sprintf("user%d@%s", n, sinkDomain); seen[address] != 1 {
			t.Errorf("%s: %d times", address, seen[address])
		}
	}
	if got := len(sink.Messages()); len(seen) != 100 || got != 3 {
		t.Errorf("%d recipients in %d messages", len(seen), got)
	}
}
