package showq

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// openings counts the files that are opened.
type openings struct {
	queue.FS
	queueFiles, logs atomic.Int64
}

func (o *openings) Open(name string, write bool) (queue.File, error) {
	switch {
	case strings.HasPrefix(name, "deferred/"):
		o.queueFiles.Add(1)
	case strings.HasPrefix(name, "defer/"):
		o.logs.Add(1)
	}
	return o.FS.Open(name, write)
}

// manyQueue is a queue of deferred messages, each with a log, whose files have
// settled.
func manyQueue(t *testing.T, count int) (q *queue.Queue, o *openings, ids []mail.QueueID) {
	t.Helper()
	o = &openings{FS: queue.DirFS(t.TempDir())}
	q, err := queue.New(queue.Options{FS: o, Now: func() time.Time { return time.Now().Add(time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Setup(); err != nil {
		t.Fatal(err)
	}
	for range count {
		id := put(t, q)
		defers(t, q, id, "x@c.test", "no answer to "+string(id))
		ids = append(ids, id)
	}
	o.queueFiles.Store(0)
	o.logs.Store(0)
	return q, o, ids
}

func defers(t *testing.T, q *queue.Queue, id mail.QueueID, to mail.Address, reason string) {
	t.Helper()
	err := q.AppendLog(queue.DeferLog, id, queue.LogEntry{Recipient: mail.Recipient{Address: to}, Status: mail.Defer("4.4.1", "%s", reason)})
	if err != nil {
		t.Fatal(err)
	}
}

func jsonOf(t *testing.T, q *queue.Queue) string {
	t.Helper()
	var wire, b bytes.Buffer
	if err := List(t.Context(), q, t.Errorf, &wire); err != nil {
		t.Fatal(err)
	}
	p := NewJSON(bufio.NewWriter(&b))
	if err := Read(&wire, p); err != nil {
		t.Fatal(err)
	}
	p.Finish()
	return b.String()
}

// The second listing of a long queue says the same and opens nothing; after a
// change it opens what changed, and says the new thing.
func TestSecondListing(t *testing.T) {
	const count = 700
	q, o, ids := manyQueue(t, count)
	first := jsonOf(t, q)
	if n := strings.Count(first, "no answer to"); n != count {
		t.Fatalf("%d messages listed of %d", n, count)
	}
	if a, b := o.queueFiles.Load(), o.logs.Load(); a != count || b != count {
		t.Errorf("%d queue files and %d logs opened for %d messages", a, b, count)
	}
	if second := jsonOf(t, q); second != first {
		t.Errorf("first %s\nthen %s", first, second)
	}
	if a, b := o.queueFiles.Load(), o.logs.Load(); a != count || b != count {
		t.Errorf("%d queue files and %d logs opened for a listing of the same", a-count, b-count)
	}

	// A client that goes away costs nothing of it.
	if err := List(t.Context(), q, t.Errorf, &broken{100}); err == nil {
		t.Error("no error of a client that is gone")
	}
	if again := jsonOf(t, q); again != first || o.queueFiles.Load() != count {
		t.Errorf("%d queue files opened after a listing that broke off", o.queueFiles.Load()-count)
	}

	// An attempt, a wish of the administrator, a removal.
	c, err := q.Claim(queue.Deferred, ids[3], queue.ClaimOptions{Any: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.RemoveLog(queue.DeferLog, ids[3]); err != nil {
		t.Fatal(err)
	}
	defers(t, q, ids[3], "x@c.test", "still no answer")
	if err := c.Defer(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := q.Expire(ids[5], queue.Deferred); err != nil {
		t.Fatal(err)
	}
	if err := q.Delete(ids[7], queue.Deferred); err != nil {
		t.Fatal(err)
	}
	o.queueFiles.Store(0)
	third := jsonOf(t, q)
	if n := o.queueFiles.Load(); n != 2 {
		t.Errorf("%d queue files opened for two that changed", n)
	}
	for text, want := range map[string]int{"still no answer": 1, `"forced_expire": true`: 1, string(ids[7]): 0, "no answer to": count - 2} {
		if n := strings.Count(third, text); n != want {
			t.Errorf("%q %d times, want %d", text, n, want)
		}
	}

	// What a server has kept serves who reads the directory, clients included.
	o.queueFiles.Store(0)
	var s seen
	if err := ReadQueue(q, false, t.Errorf, &s); err != nil || len(s.heads) != count-1 || s.heads[9].ClientName != "mail.client.test" {
		t.Errorf("%d %v %+v", len(s.heads), err, s.heads[:min(len(s.heads), 10)])
	}
	if n := o.queueFiles.Load(); n != 2 {
		t.Errorf("%d queue files opened", n)
	}
}

// A message with many recipients is listed whole, in its place.
func TestManyRecipients(t *testing.T) {
	const count = 2*few + 7
	q, _, _ := manyQueue(t, 3)
	d, err := q.Create(queue.Incoming)
	if err != nil {
		t.Fatal(err)
	}
	w := d.Records()
	w.Envelope(&mail.Envelope{Sender: "long@b.test", Arrival: time.Now(), Created: time.Now()})
	for n := range count {
		w.Recipient(mail.Recipient{Address: mail.Address(fmt.Sprintf("r%d@c.test", n))})
	}
	w.BeginContent()
	w.Line([]byte("Subject: x"))
	w.BeginExtracted()
	if err := d.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := q.Move(d.ID(), queue.Incoming, queue.Deferred); err != nil {
		t.Fatal(err)
	}
	defers(t, q, d.ID(), "r2000@c.test", "only this one")
	text := jsonOf(t, q)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d messages", len(lines))
	}
	for _, line := range lines {
		if !strings.Contains(line, "long@b.test") {
			continue
		}
		if n := strings.Count(line, `"address"`); n != count || !strings.Contains(line, `{"address": "r2000@c.test", "delay_reason": "only this one"}`) {
			t.Errorf("%d recipients, or not the reason", n)
		}
	}
}
