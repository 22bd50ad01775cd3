package showq

import (
	"io"
	"testing"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// BenchmarkList lists deferred messages, each with the reason of its delay.
func BenchmarkList(b *testing.B) {
	q, err := queue.New(queue.Options{FS: queue.DirFS(b.TempDir()), HashNames: []string{"deferred", "defer"}, HashDepth: 1})
	if err != nil {
		b.Fatal(err)
	}
	if err := q.Setup(); err != nil {
		b.Fatal(err)
	}
	const count = 500
	for range count {
		id := put(b, q)
		if err := q.AppendLog(queue.DeferLog, id, queue.LogEntry{Recipient: mail.Recipient{Address: "x@c.test"},
			Status: mail.Defer("4.4.1", "connect to c.test[192.0.2.1]:25: Connection refused")}); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for b.Loop() {
		if err := List(b.Context(), q, b.Errorf, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/count, "µs/message")
}

// put makes a deferred message.
func put(t testing.TB, q *queue.Queue) mail.QueueID {
	t.Helper()
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
	if err := q.Move(d.ID(), queue.Incoming, queue.Deferred); err != nil {
		t.Fatal(err)
	}
	return d.ID()
}
