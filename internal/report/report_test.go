package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

// fakeMessage collects a notice.
type fakeMessage struct {
	envelope  mail.Envelope
	to        []mail.Recipient
	text      strings.Builder
	committed bool
	failing   error
}

func (m *fakeMessage) ID() mail.QueueID { return "NOTICE" }
func (m *fakeMessage) Recipient(_ context.Context, r mail.Recipient) error {
	m.to = append(m.to, r)
	return nil
}
func (m *fakeMessage) Line(b []byte) error     { m.text.Write(b); m.text.WriteByte('\n'); return nil }
func (m *fakeMessage) Fragment(b []byte) error { m.text.Write(b); return nil }
func (m *fakeMessage) Commit(context.Context) error {
	m.committed = m.failing == nil
	return m.failing
}
func (m *fakeMessage) Discard() {}

// memory is a file in memory.
type memory struct{ bytes.Buffer }

func (m *memory) WriteAt(b []byte, _ int64) (int, error) { return m.Write(b) }

// bench is a Reporter with everything around it in memory.
type bench struct {
	sent    []*fakeMessage
	log     []string
	entries []queue.LogEntry
	params  Params
	failing error
}

func (b *bench) Info(f string, a ...any)    { b.log = append(b.log, fmt.Sprintf(f, a...)) }
func (b *bench) Warning(f string, a ...any) { b.log = append(b.log, "warning: "+fmt.Sprintf(f, a...)) }

func (b *bench) reporter() *Reporter {
	if b.params.SizeLimit == 0 {
		b.params = Params{SizeLimit: 50000, DoubleRecipient: "postmaster", DelayRecipient: "postmaster",
			PostmasterParams: PostmasterParams{Classes: b.params.Classes, BounceRecipient: "postmaster"}}
	}
	site := Site{Hostname: "mx.example.test", MailName: "Postfix", Origin: "example.test", DoubleBounce: "double-bounce"}
	templates := DefaultTemplates(false)
	templates.Expand("file", DefaultTemplates(false), func(s string) (string, error) {
		return strings.ReplaceAll(s, "$myhostname", "[myhostname]"), nil
	}, b.Warning)
	r, err := New(b.params, site, Deps{
		Open: func(_ context.Context, e mail.Envelope) (Message, error) {
			m := &fakeMessage{envelope: e, failing: b.failing}
			b.sent = append(b.sent, m)
			return m, nil
		},
		ReadLog: func(queue.Name, mail.QueueID) ([]queue.LogEntry, error) { return b.entries, nil },
		Log:     b,
		Now:     func() time.Time { return time.Unix(1795478901, 0).UTC() },
	}, templates)
	if err != nil {
		panic(err)
	}
	return r
}

func subject(t *testing.T, sender mail.Address) Subject {
	t.Helper()
	var f memory
	w := record.NewWriter(&f)
	at := time.Unix(1795478900, 0).UTC()
	e := mail.Envelope{Sender: sender, EnvelopeID: "abc", Arrival: at, Created: at}
	w.Envelope(&e)
	w.Recipient(mail.Recipient{Address: "x@nowhere.test"})
	w.BeginContent()
	for _, l := range []string{"Subject: hello", "Message-ID: <1@a.test>", "", "body", "--not a boundary"} {
		w.Line([]byte(l))
	}
	w.BeginExtracted()
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	info, err := record.Read(bytes.NewReader(f.Bytes()), 0)
	if err != nil {
		t.Fatal(err)
	}
	return Subject{ID: "4ABC", Envelope: e, Size: info.ContentSize, Content: info.Content, Log: queue.BounceLog}
}

func entry(address mail.Address, n mail.Notify) queue.LogEntry {
	return queue.LogEntry{Recipient: mail.Recipient{Address: address, Notify: n},
		Status: mail.Status{Action: mail.Bounced, Code: "5.1.1", Reason: "no such user\nX-Evil: yes",
			DiagType: "smtp", DiagText: "550 5.1.1 no", MTAType: "dns", MTAName: "mx.nowhere.test"}}
}

func TestFailureReport(t *testing.T) {
	b := &bench{entries: []queue.LogEntry{entry("x@nowhere.test", 0), entry("quiet@nowhere.test", mail.NotifyNever)}}
	if err := b.reporter().Notify(context.Background(), Failure, subject(t, "nobody@example.test")); err != nil {
		t.Fatal(err)
	}
	if len(b.sent) != 1 || !b.sent[0].committed {
		t.Fatalf("%d notices", len(b.sent))
	}
	m := b.sent[0]
	if m.envelope.Sender != "" || m.to[0].Address != "nobody@example.test" {
		t.Errorf("from %q to %v", m.envelope.Sender, m.to)
	}
	text := m.text.String()
	for _, want := range []string{
		"From: Mail Delivery System <MAILER-DAEMON>\n",
		"Subject: Undelivered Mail Returned to Sender\n", "Auto-Submitted: auto-replied\n",
		"Content-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"4ABC.1795478901/mx.example.test\"\n",
		"This is the mail system at [myhostname].\n",
		"Reporting-MTA: dns; mx.example.test\nOriginal-Envelope-Id: abc\nX-Postfix-Queue-ID: 4ABC\nX-Postfix-Sender: rfc822; nobody@example.test\nArrival-Date: Tue, 24 Nov 2026 00:08:20 +0000 (UTC)\n\n",
		"Final-Recipient: rfc822; x@nowhere.test\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.nowhere.test\nDiagnostic-Code: smtp; 550 5.1.1 no\n",
		"Content-Type: message/rfc822\n", "\nReturn-Path: <nobody@example.test>\nSubject: hello\n", "\nbody\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\nX-Evil") {
		t.Error("a reason became a header")
	}
	if strings.Contains(text, "quiet@") {
		t.Error("a recipient with NOTIFY=NEVER was reported")
	}
	if len(b.log) != 1 || b.log[0] != "4ABC: sender non-delivery notification: NOTICE" {
		t.Errorf("log %q", b.log)
	}
}

func TestOnlyHeadersAreReturned(t *testing.T) {
	hdrs := subject(t, "nobody@example.test")
	hdrs.Envelope.Return = mail.ReturnHeaders
	large := subject(t, "nobody@example.test")
	large.Size = 50001
	for name, s := range map[string]Subject{"RET=HDRS": hdrs, "over bounce_size_limit": large} {
		b := &bench{entries: []queue.LogEntry{entry("x@nowhere.test", 0)}}
		if err := b.reporter().Notify(context.Background(), Failure, s); err != nil {
			t.Fatal(err)
		}
		text := b.sent[0].text.String()
		if !strings.Contains(text, "text/rfc822-headers") || strings.Contains(text, "\nbody\n") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

func TestWhoIsTold(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    Kind
		sender  mail.Address
		classes []string
		notify  mail.Notify
		want    string
	}{
		{"failure", Failure, "a@b.test", nil, 0, "a@b.test"},
		{"failure not wanted", Failure, "a@b.test", nil, mail.NotifyDelay, ""},
		{"failure with a copy", Failure, "a@b.test", []string{"bounce"}, 0, "a@b.test postmaster"},
		{"null sender", Failure, "", nil, 0, ""},
		{"null sender, 2bounce", Failure, "", []string{"2bounce"}, 0, "postmaster"},
		{"bounce of a double bounce", Failure, "double-bounce@mx.example.test", []string{"2bounce", "bounce"}, 0, ""},
		{"delay", Delay, "a@b.test", nil, 0, "a@b.test"},
		{"delay not wanted", Delay, "a@b.test", nil, mail.NotifyFailure, ""},
		{"delay, null sender", Delay, "", []string{"delay"}, 0, ""},
		{"delay with a copy", Delay, "a@b.test", []string{"delay"}, 0, "a@b.test postmaster"},
		{"success", Success, "a@b.test", nil, mail.NotifySuccess, "a@b.test"},
		{"success not asked for", Success, "a@b.test", nil, 0, ""},
		{"null sender, bounce", Failure, "", []string{"bounce"}, 0, "postmaster"},
		{"delay, null sender, 2bounce", Delay, "", []string{"2bounce", "delay"}, 0, ""},
		{"success, null sender, bounce", Success, "", []string{"bounce"}, mail.NotifySuccess, ""},
		{"success, null sender, 2bounce", Success, "", []string{"2bounce"}, mail.NotifySuccess, "postmaster"},
		{"delay cleared, null sender", Cleared, "", []string{"2bounce"}, mail.NotifyDelay, ""},
		{"probe, null sender", Verify, "", []string{"2bounce"}, 0, "postmaster"},
	} {
		b := &bench{entries: []queue.LogEntry{entry("x@nowhere.test", c.notify)}, params: Params{PostmasterParams: PostmasterParams{Classes: c.classes}}}
		if err := b.reporter().Notify(context.Background(), c.kind, subject(t, c.sender)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var got []string
		for _, m := range b.sent {
			got = append(got, string(m.to[0].Address))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: told %q, want %q", c.name, got, c.want)
		}
	}
}

func TestFailureToQueueIsReported(t *testing.T) {
	full := &mail.Error{Reply: 452, Code: "4.3.1", Text: "Insufficient system storage"}
	b := &bench{entries: []queue.LogEntry{entry("x@nowhere.test", 0)}, failing: full}
	if err := b.reporter().Notify(context.Background(), Failure, subject(t, "a@b.test")); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
}

// TestTemplateFile shows what becomes of mistakes in a template file: each has
// its warning, and leaves the built-in template.
func TestTemplateFile(t *testing.T) {
	builtin := DefaultTemplates(false)
	for _, c := range []struct{ text, subject, body, warning string }{
		{"failure_template = <<X\nSubject: s\n\nbody\nX\n", "s", "body\n", ""},
		{"  failure_template=<< X Y\nSubject: s\nsome text\nand: more\nX\nX Y\n", "s", "some text\nand: more\nX\n", ""},
		{"failure_template = <<X\nSubject: s\n\nbody\n", "s", "body\n", `missing "X" end marker`},
		{"failure_template = hello\n", builtin[Failure].Subject, "hello\n", ""},
		{"failure_template = <<X\nX\n", builtin[Failure].Subject, builtin[Failure].Text, "missing message text"},
		{"failure_template = <<X\nSubject:\n\nbody\nX\n", builtin[Failure].Subject, builtin[Failure].Text, `empty "Subject" header value`},
		{"failure_template = <<X\nSubject: ä\n\nbody\nX\n", builtin[Failure].Subject, builtin[Failure].Text, `non-ASCII "Subject" header value`},
		{"failure_template = <<X\nFoo: a\n\nbody\nX\n", builtin[Failure].Subject, builtin[Failure].Text, `unknown "Foo" header label`},
		{"failure_template = <<X\n\nbödy\nX\n", builtin[Failure].Subject, builtin[Failure].Text, "8-bit message text"},
		{"failure_template = <<X\nCharset: utf-8\n\nbödy\nX\n", builtin[Failure].Subject, "bödy\n", ""},
		{"bar_template = <<X\n\nbody\nX\n", builtin[Failure].Subject, builtin[Failure].Text, "unknown template name: bar_template"},
		{"failure_template = <<X\n\nbad $\nX\n", builtin[Failure].Subject, builtin[Failure].Text, "no dollars"},
	} {
		b := new(bench)
		got := DefaultTemplates(false)
		if err := got.Read("file", c.text, b.Warning); err != nil {
			t.Errorf("%q: %v", c.text, err)
		}
		got.Expand("file", builtin, func(s string) (string, error) {
			if strings.Contains(s, "bad") {
				return "", errors.New("no dollars")
			}
			return s, nil
		}, b.Warning)
		if x := got[Failure]; x.Subject != c.subject || x.Text != c.body {
			t.Errorf("%q: %q %q", c.text, x.Subject, x.Text)
		}
		if warned := strings.Join(b.log, "\n"); !strings.Contains(warned, c.warning) || c.warning == "" && warned != "" {
			t.Errorf("%q: %s", c.text, warned)
		}
	}
	if err := DefaultTemplates(false).Read("file", "# x\n\nhello world\n", t.Logf); err == nil || !strings.Contains(err.Error(), "file, line 3") {
		t.Errorf("%v", err)
	}
}
