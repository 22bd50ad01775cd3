package run

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"posthaste/internal/flush"
	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
)

// TestFlushServer asks as Postfix's programs do, and gets Postfix's numbers.
func TestFlushServer(t *testing.T) {
	dir := t.TempDir()
	q, err := queue.New(queue.Options{FS: queue.DirFS(dir)})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Setup(); err != nil {
		t.Fatal(err)
	}
	const id = mail.QueueID("4XyZ12abcdz1")
	if err := os.WriteFile(filepath.Join(dir, "deferred", string(id)), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	sent := make(chan mail.QueueID, 10)
	f := flushServer{refresh: time.Hour, log: maillog.New(maillog.NewFile(os.Stderr, "mx"), "flush"),
		send: func(ids ...mail.QueueID) {
			for _, id := range ids {
				sent <- id
			}
		}}
	with := f
	with.sites = flush.New(flush.Params{PurgeTime: time.Hour}, flush.Deps{Queue: q, Send: f.send, Warn: t.Errorf,
		Eligible: func(_ context.Context, d string) (bool, error) { return d == "one.test", nil }})
	for _, c := range []struct {
		server  flushServer
		request string
		status  string
		sends   int
	}{
		{with, "request add site one.test queue_id " + string(id), "0", 0},
		{with, "request add site other.test queue_id " + string(id), "4", 0},
		{with, "request add site one.test queue_id ../x", "3", 0},
		{with, "request send_site site other.test", "4", 0},
		{with, "request refresh", "0", 0}, // it is not old enough
		{with, "request send_site site one.test", "0", 1},
		{with, "request send_site site one.test", "0", 0},
		{with, "request add site one.test queue_id " + string(id), "0", 0},
		{with, "request purge", "0", 1},
		{with, "request send_file queue_id " + string(id), "0", 1},
		{with, "request send_file queue_id ../x", "3", 0},
		{with, "request nonsense", "-1", 0},
		{f, "request send_site site one.test", "4", 0},
		{f, "request send_file queue_id " + string(id), "0", 1},
		{f, "request refresh", "4", 0},
	} {
		answer := askFlush(t, c.server, strings.Fields(c.request)...)
		if answer["status"] != c.status || len(sent) != c.sends {
			t.Errorf("%s: %q, %d messages sent", c.request, answer, len(sent))
		}
		for range len(sent) {
			<-sent
		}
	}
	// A wakeup is one byte, by a client that does not wait for an answer.
	askFlush(t, with, "request", "add", "site", "one.test", "queue_id", string(id))
	with.refresh = 0
	client, server := net.Pipe()
	over := make(chan struct{})
	go func() { with.serve(t.Context(), server); server.Close(); close(over) }()
	client.Read(make([]byte, 100))
	client.Write([]byte{wishWakeup})
	<-over
	client.Close()
	if got := len(sent); got != 1 {
		t.Errorf("a wakeup sent %d messages", got)
	}
	if s := f; s.sites == nil {
		s.deferred(id, "a@one.test") // nobody to tell
	}
}

// askFlush asks one server, and returns when all is done.
func askFlush(t *testing.T, f flushServer, request ...string) map[string]string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		if c, err := l.Accept(); err == nil {
			f.serve(context.Background(), c)
			c.Close()
		}
	}()
	answer, err := ipc.Ask(path, 10*time.Second, slices.Clone(request)...)
	l.Close()
	<-over
	if err != nil {
		t.Errorf("%q: %v", request, err)
	}
	return answer
}
