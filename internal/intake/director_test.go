package intake_test

import (
	"context"
	"strings"
	"testing"

	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// TestDirector does what access tables ask for, before the content and behind
// it, and lets header_checks have the last word.
func TestDirector(t *testing.T) {
	door, q, _ := setup(t, "header_checks = static:{FILTER scan:late}\n", nil)
	ctx := context.Background()
	m, err := door.Open(ctx, remote("joe@far.test"))
	if err != nil {
		t.Fatal(err)
	}
	m.Recipient(ctx, mail.Recipient{Address: "ann@example.com"})
	m.Prepend("X-One: 1")
	m.Prepend("X-Two: 2\r\nEvil: yes")
	m.Filter("scan:early")
	m.Line([]byte("Subject: hi"))
	m.Hold()
	m.Redirect("spam@far.test")
	m.Recipient(ctx, mail.Recipient{Address: "copy@far.test", Original: "copy@far.test"})
	if err := m.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	info, err := record.Read(&q.last.file, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !q.last.held || info.ContentFilter != "scan:late" || info.Redirect != "spam@far.test" {
		t.Errorf("held %v, filter %q, redirect %q", q.last.held, info.ContentFilter, info.Redirect)
	}
	if len(info.Entries) != 2 || info.Entries[1].Address != "copy@far.test" {
		t.Errorf("recipients %+v", info.Entries)
	}
	// A recipient behind the content is not among those of the header.
	want := "X-One: 1\nX-Two: 2  Evil: yes\nReceived: from helo.test (client.test [192.0.2.1])\n" +
		"\tby mx.example.com (Postfix) with ESMTP id 4XyZ12abcdz1\n\tfor <ann@example.com>; "
	if got := content(t, q.last); !strings.HasPrefix(got, want) {
		t.Errorf("content\n%s", got)
	}
}

// TestHeaderSizeLimit cuts a header at header_size_limit bytes, its own lines
// counted together, or between lines when that is nearly as much, and takes up
// again with the next one.
func TestHeaderSizeLimit(t *testing.T) {
	door, q, _ := setup(t, "header_size_limit = 200\n", nil)
	long := strings.Repeat("x", 191)
	_, err := send(door, remote("joe@far.test"), "Subject: "+long+"yyy\n more\nX-Fold: 1\n "+long+"yyy\nX-Line: "+long[:180]+"\n 123456789012345\nX-Next: 2\n\n",
		mail.Recipient{Address: "ann@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	want := "Subject: " + long + "\nX-Fold: 1\n " + long[:189] + "\nX-Line: " + long[:180] + "\nX-Next: 2\n"
	if got := content(t, q.last); !strings.Contains(got, want) {
		t.Errorf("content\n%s", got)
	}
}
