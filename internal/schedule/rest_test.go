package schedule

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// openFS counts the queue files of messages that are open.
type openFS struct {
	queue.FS
	open    atomic.Int64 // files
	writing atomic.Int64 // how often one was opened for writing
}

// isMessage tells whether a name is that of a message.
func isMessage(name string) bool {
	return strings.HasPrefix(name, "incoming/") || strings.HasPrefix(name, "active/")
}

func (o *openFS) count(f queue.File, name string, err error) (queue.File, error) {
	if err != nil || !isMessage(name) {
		return f, err
	}
	o.open.Add(1)
	return &openFile{File: f, fs: o}, nil
}

func (o *openFS) Open(name string, write bool) (queue.File, error) {
	f, err := o.FS.Open(name, write)
	if err == nil && write && isMessage(name) {
		o.writing.Add(1)
	}
	return o.count(f, name, err)
}

func (o *openFS) Create(name string, mode fs.FileMode) (queue.File, error) {
	f, err := o.FS.Create(name, mode)
	return o.count(f, name, err)
}

type openFile struct {
	queue.File
	fs *openFS
}

func (f *openFile) Close() error {
	f.fs.open.Add(-1)
	return f.File.Close()
}

// restWorld is a scheduler over a queue on disk whose open files are counted, with
// two transports: smtp, and for slow.test "other".
func restWorld(t *testing.T, journal queue.JournalUse) (*queue.Queue, *openFS, *fakeWorld) {
	t.Helper()
	fsys := &openFS{FS: queue.DirFS(t.TempDir())}
	q, err := queue.New(queue.Options{FS: fsys, HashNames: []string{"deferred", "defer"}, HashDepth: 1, Journal: journal})
	if err == nil {
		err = q.Setup()
	}
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.route = func(to mail.Address) (Route, error) {
		service := "smtp"
		if to.Domain() == "slow.test" {
			service = "other"
		}
		return Route{Transport: service, Nexthop: to.Domain()}, nil
	}
	return q, fsys, w
}

// serveDisk runs a scheduler until the test calls stop.
func serveDisk(t *testing.T, q *queue.Queue, w *fakeWorld) (s *Scheduler, stop func()) {
	s = New(w.params, w.common, Deps{Queue: Disk(q), Resolver: w, Agents: w, Notices: w, Log: w,
		Override: func(service, suffix string) (string, bool) { v, found := w.set[service+suffix]; return v, found }})
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	return s, func() {
		t.Helper()
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// Messages of which a recipient is done and another has to wait hold one descriptor
// each, and what was marked before and after that rest is marked.
func TestWaitingMessageHoldsOneDescriptor(t *testing.T) {
	t.Parallel()
	for name, journal := range map[string]queue.JournalUse{"journal": queue.WholeJournal, "no journal": queue.NoJournal} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const count = 40
			q, fsys, w := restWorld(t, journal)
			w.set["other_destination_concurrency_limit"] = "1"
			release := make(chan struct{})
			var fast atomic.Int64
			w.agent = func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
				if r.Service == "smtp" {
					defer fast.Add(1)
					return sendAll(ctx, r, done)
				}
				<-release
				for i, to := range r.Recipients {
					st := mail.Sent("2.0.0", "ok")
					if strings.HasPrefix(string(to.Address), "late") {
						st = mail.Defer("4.2.2", "full")
					}
					done(mail.RecipientIndex(i), st)
				}
				return nil
			}
			var ids []mail.QueueID
			for range count {
				ids = append(ids, enqueue(t, q, "r@fast.test", "r@slow.test", "late@slow.test"))
			}
			s, stop := serveDisk(t, q, w)
			for _, id := range ids {
				s.Arrived(id)
			}
			waitFor(t, func() bool { return fast.Load() == count })
			// One is being delivered.
			waitFor(t, func() bool { return fsys.open.Load() <= count+1 })
			if n := fsys.open.Load(); n < count {
				t.Errorf("%d files are open for %d messages", n, count)
			}
			close(release)
			waitFor(t, func() bool { return fsys.open.Load() == 0 && deferredCount(q) == count })
			stop()
			for _, id := range ids {
				c, err := q.Claim(queue.Deferred, id, queue.ClaimOptions{Any: true})
				if err != nil {
					t.Fatal(err)
				}
				if list := c.Info.Entries; len(list) != 1 || list[0].Address != "late@slow.test" {
					t.Errorf("%s: left are %v", id, list)
				}
				c.Close()
			}
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func deferredCount(q *queue.Queue) (n int) {
	for range q.List(queue.Deferred) {
		n++
	}
	return n
}

// Deliveries of a message that follow each other have its file opened for marks once.
func TestMarksAreOpenedOnce(t *testing.T) {
	t.Parallel()
	q, fsys, w := restWorld(t, queue.WholeJournal)
	w.set["smtp_destination_recipient_limit"], w.max = "1", 1
	var to []string
	for i := range 50 {
		to = append(to, fmt.Sprintf("r%d@fast.test", i))
	}
	id := enqueue(t, q, to...)
	s, stop := serveDisk(t, q, w)
	s.Arrived(id)
	waitFor(t, func() bool { _, _, gone := q.Find(id); return gone != nil })
	stop()
	if n := len(w.requests); n != 50 {
		t.Errorf("%d deliveries", n)
	}
	if n := fsys.writing.Load(); n != 1 {
		t.Errorf("the file was opened for marks %d times", n)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}
