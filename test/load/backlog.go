package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// backlog is a deferred queue that is made for a measurement: messages of many
// senders to many domains, each with the log of its last attempt.
type backlog struct {
	spool string
	owner int // uid of the files
	count int
	due   int // of them, those whose time has come
	made  atomic.Int64
}

// Of what a backlog consists.
const (
	backlogAge     = 4 * 24 * time.Hour // the oldest message; none expires during a run
	backlogBody    = 1000               // bytes
	backlogSenders = 5000
	backlogDomains = 20000
	// rareDomain has one message in a thousand: what a selection looks for.
	rareDomain = "rare.example.test"
	rareEvery  = 1000
)

var backlogReasons = []string{
	"connect to mx%d.example.test[192.0.2.%d]:25: Connection refused",
	"connect to mx%d.example.test[192.0.2.%d]:25: Connection timed out",
	"host mx%d.example.test[192.0.2.%d] said: 450 4.2.0 Greylisted, please try again (in reply to RCPT TO command)",
	"host mx%d.example.test[192.0.2.%d] said: 452 4.2.2 Mailbox full (in reply to RCPT TO command)",
	"lost connection with mx%d.example.test[192.0.2.%d] while receiving the initial server greeting",
}

// ownerID is the uid of mail_owner.
func ownerID(name string) (int, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(u.Uid)
}

// make writes the queue, on all processors, and syncs it at the end: nothing
// is lost when a backlog is torn by a crash.
func (b *backlog) make(show func(done int)) error {
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			// The thread ends with the goroutine, and with it its file system uid.
			runtime.LockOSThread()
			if os.Geteuid() == 0 {
				if errs[w] = unix.Setfsuid(b.owner); errs[w] != nil {
					return
				}
			}
			errs[w] = b.part(w, workers)
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			show(int(b.made.Load()))
		case <-done:
			unix.Sync()
			return errors.Join(errs...)
		}
	}
}

// part makes every workers-th message.
func (b *backlog) part(w, workers int) error {
	random := rand.New(rand.NewPCG(1, uint64(w)))
	start := time.Now().Add(-backlogAge)
	at := start
	q, err := queue.New(queue.Options{FS: unsynced{queue.DirFS(b.spool)}, HashNames: []string{"deferred", "defer"},
		HashDepth: 1, Now: func() time.Time { return at }})
	if err != nil {
		return err
	}
	step := backlogAge / time.Duration(b.count)
	for n := w; n < b.count; n += workers {
		at = start.Add(time.Duration(n)*step + time.Duration(random.Int64N(int64(time.Second))))
		if err := b.message(q, n, at, random); err != nil {
			return err
		}
		b.made.Add(1)
	}
	return nil
}

// message makes one deferred message.
func (b *backlog) message(q *queue.Queue, n int, at time.Time, random *rand.Rand) error {
	d, err := q.Create(queue.Incoming)
	if err != nil {
		return err
	}
	host := random.IntN(200)
	client := mail.Client{Name: fmt.Sprintf("client%d.example.test", host), Address: fmt.Sprintf("198.51.100.%d", host+1),
		Port: "40000", Helo: fmt.Sprintf("client%d.example.test", host), Protocol: "ESMTP"}
	e := mail.Envelope{Sender: mail.Address(fmt.Sprintf("user%d@senders.example.test", random.IntN(backlogSenders))),
		Arrival: at, Created: at, Origin: mail.Origin{Remote: true, Client: client, Logged: client}}
	if random.IntN(20) == 0 {
		e.Sender = ""
	}
	domain := fmt.Sprintf("d%d.example.test", random.IntN(backlogDomains))
	if n%rareEvery == 0 {
		domain = rareDomain
	}
	to := mail.Recipient{Address: mail.Address(fmt.Sprintf("rcpt%d@%s", n, domain))}
	to.Original = to.Address
	w := d.Records()
	w.Envelope(&e)
	w.Recipient(to)
	w.BeginContent()
	w.Line(fmt.Appendf(nil, "Received: from %s (%s [%s]) by mx.example.test; %s", client.Helo, client.Name, client.Address, at.Format(time.RFC1123Z)))
	w.Line([]byte("Subject: waiting"))
	w.Line(nil)
	line := make([]byte, 70)
	for i := range line {
		line[i] = 'x'
	}
	for range backlogBody / len(line) {
		w.Line(line)
	}
	w.BeginExtracted()
	if err := d.Commit(context.Background()); err != nil {
		return err
	}
	if err := q.Move(d.ID(), queue.Incoming, queue.Deferred); err != nil {
		return err
	}
	reason := backlogReasons[random.IntN(len(backlogReasons))]
	st := mail.Defer("4.4.1", reason, random.IntN(100), 1+random.IntN(254))
	if err := q.AppendLog(queue.DeferLog, d.ID(), queue.LogEntry{Recipient: to, Status: st}); err != nil {
		return err
	}
	next := time.Now().Add(time.Hour + time.Duration(random.Int64N(int64(time.Hour/8))))
	if n < b.due {
		next = time.Now().Add(-time.Minute)
	}
	f, err := queue.DirFS(b.spool).Open(q.Path(queue.Deferred, d.ID()), true)
	if err != nil {
		return err
	}
	return errors.Join(f.SetTimes(next), f.Close())
}

// unsynced is a file system whose syncs do nothing: a backlog is synced as a
// whole.
type unsynced struct{ queue.FS }

// Create makes a file.
func (u unsynced) Create(name string, mode os.FileMode) (queue.File, error) {
	f, err := u.FS.Create(name, mode)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

// SyncDir does nothing.
func (unsynced) SyncDir(string) error { return nil }

type unsyncedFile struct{ queue.File }

// Sync does nothing.
func (unsyncedFile) Sync() error { return nil }

// SyncData does nothing.
func (unsyncedFile) SyncData() error { return nil }
