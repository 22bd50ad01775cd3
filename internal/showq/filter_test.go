package showq

import (
	"bufio"
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/selection"
)

// What is meant is printed as it would be without a filter, and nothing else.
func TestFilter(t *testing.T) {
	for where, want := range map[string][]string{
		`queue = hold or domain = c.test and age > 1s`: {"AAAA1", "BBBB2", "CCCC3"},
		`recipient = y@c.test`:                         {"AAAA1"},
		`sender = <>`:                                  {"BBBB2"},
		`not recipient ~ .`:                            {"BBBB2"},
		`reason ~ "^long"`:                             {"CCCC3"},
		`size < 2k`:                                    nil,
	} {
		expr, err := selection.Parse(where)
		if err != nil {
			t.Fatal(err)
		}
		var all, b bytes.Buffer
		p, plain := NewJSON(bufio.NewWriter(&b)), NewJSON(bufio.NewWriter(&all))
		if err := errors.Join(Read(strings.NewReader(listing(t)), Filter(expr, time.Now(), p)), p.Finish(),
			Read(strings.NewReader(listing(t)), plain), plain.Finish()); err != nil {
			t.Fatal(err)
		}
		var expected string
		for line := range strings.Lines(all.String()) {
			if slices.ContainsFunc(want, func(id string) bool { return strings.Contains(line, id) }) {
				expected += line
			}
		}
		if b.String() != expected {
			t.Errorf("%s:\n%s", where, b.String())
		}
	}
}

// seen keeps what is listed.
type seen struct {
	heads   []Head
	reasons []string
}

func (s *seen) Message(h Head) error { s.heads = append(s.heads, h); return nil }
func (s *seen) Recipient(_, reason string) error {
	s.reasons = append(s.reasons, reason)
	return nil
}
func (s *seen) MessageEnd() error { return nil }

// Who reads the directory learns the client, which the server's listing does
// not tell, since Postfix's own postqueue would give up at it.
func TestReadQueue(t *testing.T) {
	q, err := queue.New(queue.Options{FS: queue.DirFS(t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Setup(); err != nil {
		t.Fatal(err)
	}
	d, err := q.Create(queue.Incoming)
	if err != nil {
		t.Fatal(err)
	}
	client := mail.Client{Name: "mail.client.test", Address: "192.0.2.1"}
	w := d.Records()
	w.Envelope(&mail.Envelope{Sender: "a@b.test", Arrival: time.Now(), Created: time.Now(), Origin: mail.Origin{Client: client, Logged: client}})
	w.Recipient(mail.Recipient{Address: "x@c.test"})
	w.BeginContent()
	w.Line([]byte("Subject: x"))
	w.BeginExtracted()
	if err := d.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = errors.Join(q.Move(d.ID(), queue.Incoming, queue.Deferred), q.AppendLog(queue.DeferLog, d.ID(),
		queue.LogEntry{Recipient: mail.Recipient{Address: "x@c.test"}, Status: mail.Defer("4.4.1", "no answer")}))
	if err != nil {
		t.Fatal(err)
	}
	for _, brief := range []bool{false, true} {
		var s seen
		if err := ReadQueue(q, brief, t.Errorf, &s); err != nil {
			t.Fatal(err)
		}
		if len(s.heads) != 1 || s.heads[0].ClientName != client.Name || s.heads[0].ClientAddress != client.Address {
			t.Errorf("%+v", s.heads)
		}
		want := "no answer"
		if brief {
			want = ""
		}
		if !slices.Equal(s.reasons, []string{want}) {
			t.Errorf("reasons %q", s.reasons)
		}
	}
	var b bytes.Buffer
	if err := List(t.Context(), q, t.Errorf, &b); err != nil || strings.Contains(b.String(), "client") {
		t.Errorf("%q %v", b.String(), err)
	}
}
