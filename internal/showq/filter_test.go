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
	id := put(t, q)
	err = q.AppendLog(queue.DeferLog, id,
		queue.LogEntry{Recipient: mail.Recipient{Address: "x@c.test"}, Status: mail.Defer("4.4.1", "no answer")})
	if err != nil {
		t.Fatal(err)
	}
	for _, brief := range []bool{false, true} {
		var s seen
		if err := ReadQueue(q, brief, t.Errorf, &s); err != nil {
			t.Fatal(err)
		}
		if len(s.heads) != 1 || s.heads[0].ClientName != "mail.client.test" || s.heads[0].ClientAddress != "192.0.2.1" {
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

// broken fails after some bytes.
type broken struct{ left int }

func (w *broken) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errors.New("the client has gone")
	}
	return len(b), nil
}

// A client that goes away ends the listing.
func TestClientGone(t *testing.T) {
	q, err := queue.New(queue.Options{FS: queue.DirFS(t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Setup(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		put(t, q)
	}
	text := strings.Repeat("x", 2000)
	for range 50 { // more than is kept before it is written
		err := q.AppendLog(queue.DeferLog, put(t, q), queue.LogEntry{Recipient: mail.Recipient{Address: "x@c.test"}, Status: mail.Defer("4.4.1", "%s", text)})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, left := range []int{0, 70 << 10} {
		if err := List(t.Context(), q, t.Errorf, &broken{left}); err == nil {
			t.Errorf("no error after %d bytes", left)
		}
	}
}
