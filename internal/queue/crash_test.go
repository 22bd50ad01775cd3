package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/queue/strictfs"
)

// ledger is what the world was told, by event number of the file system.
type ledger struct {
	messages []*entry
	journal  bool
}

// open opens a queue as the processes do.
func (l *ledger) open(seam queue.FS) (*queue.Queue, error) {
	use := queue.NoJournal
	if l.journal {
		use = queue.WholeJournal
	}
	return queue.New(queue.Options{FS: seam, HashNames: []string{"deferred", "defer", "bounce"}, HashDepth: 1, Journal: use})
}

type entry struct {
	id        mail.QueueID
	body      string
	acked     int // event after which Commit had returned nil; 0: never
	refused   bool
	delivered map[mail.Address]int // event at which the recipient was delivered
	removing  int                  // event before Remove began; 0: never
	removed   bool                 // Remove returned nil
	settled   int                  // event after which the removal was durable; 0: never
}

// lifetime is a history with every move that a message can make. It stops
// where the file system fails it.
func lifetime(fsys *strictfs.FS, seam queue.FS, ackEarly bool) *ledger {
	l := &ledger{}
	q, err := l.open(seam)
	if err != nil || q.Setup() != nil {
		return l
	}
	for _, base := range append(append([]queue.Name{}, queue.Names...), queue.Logs...) {
		fsys.SyncDir(string(base)) // made once at installation
	}
	a := l.accept(fsys, q, "first", false, ackEarly)
	b := l.accept(fsys, q, "second", true, ackEarly)
	c := l.accept(fsys, q, strings.Repeat("third, and long. ", 6000), false, ackEarly)
	_ = b
	if m, err := q.Claim(queue.Incoming, a.id, queue.ClaimOptions{}); err == nil {
		a.delivered["r1@c.test"] = fsys.Events()
		if m.MarkDone(m.Info.Entries[0]) == nil {
			q.AppendLog(queue.DeferLog, a.id, queue.LogEntry{Recipient: m.Info.Entries[1].Recipient})
			m.Defer(time.Unix(1, 0))
		} else {
			m.Close()
		}
	}
	if m, err := q.Claim(queue.Incoming, c.id, queue.ClaimOptions{}); err == nil {
		finish(fsys, q, m, c)
	}
	if m, err := q.Claim(queue.Deferred, a.id, queue.ClaimOptions{Any: true}); err == nil {
		if q.AppendLog(queue.BounceLog, a.id, queue.LogEntry{Recipient: m.Info.Entries[0].Recipient}) == nil {
			finish(fsys, q, m, a)
		}
	}
	l.accept(fsys, q, "fourth", false, ackEarly)
	return l
}

func finish(fsys *strictfs.FS, q *queue.Queue, m *queue.Claimed, e *entry) {
	for _, r := range m.Info.Entries {
		e.delivered[r.Address] = fsys.Events()
	}
	e.removing = fsys.Events()
	e.removed = m.Remove() == nil
}

// accept takes in one message; the acknowledgement is the event number after
// Commit. ackEarly is the mutant that answers before.
func (l *ledger) accept(fsys *strictfs.FS, q *queue.Queue, body string, hold, ackEarly bool) *entry {
	e := &entry{body: body, delivered: map[mail.Address]int{}}
	l.messages = append(l.messages, e)
	d, err := q.Create(queue.Incoming)
	if err != nil {
		e.refused = true
		return e
	}
	e.id = d.ID()
	w := d.Records()
	w.Envelope(&mail.Envelope{Sender: "a@b.test", Arrival: time.Unix(1700000000, 0), Created: time.Unix(1700000000, 0)})
	w.Recipient(mail.Recipient{Address: "r1@c.test"})
	w.Recipient(mail.Recipient{Address: "r2@c.test"})
	w.BeginContent()
	for _, line := range strings.SplitAfter(body, ". ") {
		w.Line([]byte(line))
	}
	w.BeginExtracted()
	if hold && d.Hold() != nil {
		d.Discard()
		e.refused = true
		return e
	}
	if ackEarly {
		e.acked = fsys.Events()
	}
	if err := d.Commit(context.Background()); err != nil {
		e.refused = true
	} else if !ackEarly {
		e.acked = fsys.Events()
	}
	return e
}

// verify reopens the queue after a crash at the given event and compares it
// with the ledger. The result is empty, or says what is wrong.
func verify(after *strictfs.FS, l *ledger, event int) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	q, err := l.open(after)
	if err != nil {
		return []string{err.Error()}
	}
	if _, _, err := q.Recover(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		say("recover: %v", err)
	}
	for _, e := range l.messages {
		if e.acked == 0 || e.acked > event || e.refused {
			continue
		}
		gone := e.removing != 0 && e.removing < event
		found := 0
		for _, n := range []queue.Name{queue.Incoming, queue.Deferred, queue.Hold} {
			m, err := q.Open(n, e.id)
			if errors.Is(err, queue.ErrGone) {
				continue
			}
			if err != nil || !m.Stat.Ready() {
				say("LOSS: %s in %s cannot be used: %v mode %v", e.id, n, err, m.Stat.Mode)
				continue
			}
			found++
			e.check(m, event, say)
		}
		if found > 1 {
			say("DUP: %s found %d times", e.id, found)
		}
		if found > 0 && e.settled != 0 && e.settled <= event {
			say("DUP: %s came back after its removal was durable", e.id)
		}
		if found == 0 && !gone {
			say("LOSS: %s (%.10s) is not there", e.id, e.body)
		}
	}
	return wrong
}

// check compares a message on disk with what was acknowledged.
func (e *entry) check(m *queue.Message, event int, say func(string, ...any)) {
	info, err := m.Info(0)
	if err != nil {
		say("LOSS: %s is damaged: %v", e.id, err)
		return
	}
	var body bytes.Buffer
	r := info.Content.Lines()
	defer r.Close()
	for {
		line, _, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			say("LOSS: %s: %v", e.id, err)
			return
		}
		body.Write(line)
	}
	if body.String() != e.body {
		say("GARBLED: %s", e.id)
	}
	open := map[mail.Address]bool{}
	for _, r := range info.Entries {
		open[r.Address] = true
	}
	for _, r := range []mail.Address{"r1@c.test", "r2@c.test"} {
		if at, ok := e.delivered[r]; !open[r] && (!ok || at > event) {
			say("LOSS: %s: %s is marked as done and was not delivered", e.id, r)
		}
	}
}

// survivals are the ways in which a crash keeps or drops what is not durable.
func survivals(rng *rand.Rand, random int) []strictfs.Keep {
	keeps := []strictfs.Keep{
		{Survives: func(int, int) bool { return false }},
		{Survives: func(int, int) bool { return true }},
		{Survives: func(int, int) bool { return true }, Tear: 512},
		{Survives: func(int, int) bool { return true }, Tear: 4096},
		{Survives: func(int, int) bool { return true }, Zero: true},
	}
	for only := range 12 {
		keeps = append(keeps, strictfs.Keep{Survives: func(i, n int) bool { return i == n-1-only }})
	}
	for range random {
		seed := rng.Uint64()
		keeps = append(keeps, strictfs.Keep{Survives: func(i, _ int) bool {
			return rand.New(rand.NewPCG(seed, uint64(i))).Uint64()&1 == 0
		}})
	}
	return keeps
}

// history is a run of a queue on a file system.
type history func(fsys *strictfs.FS, seam queue.FS, ackEarly bool) *ledger

// histories are all of them.
var histories = map[string]history{"syncs": lifetime, "journal": journaled}

// crashEverywhere runs the history once and cuts the power after each event.
func crashEverywhere(run history, profile strictfs.Profile, wrap func(*strictfs.FS) queue.FS, ackEarly bool) (points int, wrong []string) {
	fsys := strictfs.New(profile)
	l := run(fsys, wrap(fsys), ackEarly)
	rng := rand.New(rand.NewPCG(1, 2))
	for event := 0; event <= fsys.Events(); event++ {
		for i, keep := range survivals(rng, 200) {
			points++
			after := fsys.Crash(event, keep)
			for _, w := range verify(after, l, event) {
				if len(wrong) < 5 {
					wrong = append(wrong, fmt.Sprintf("event %d, variant %d: %s\n%s", event, i, w, after.Dump()))
				} else {
					return points, wrong
				}
			}
		}
	}
	return points, wrong
}

func plain(f *strictfs.FS) queue.FS { return f }

// T1: no crash, anywhere, loses or garbles an acknowledged message.
func TestCrashAtEveryOperation(t *testing.T) {
	for name, profile := range map[string]strictfs.Profile{"posix": strictfs.Posix, "ext4": strictfs.Ext4} {
		for kind, run := range histories {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				points, wrong := crashEverywhere(run, profile, plain, false)
				for _, w := range wrong {
					t.Error(w)
				}
				t.Logf("%d crash points", points)
				if points < 10000 {
					t.Errorf("only %d crash points: the history is not what it was", points)
				}
			})
		}
	}
}

// The negative controls: with a promise broken the test above must fail.
func TestCrashTestFindsBrokenPromises(t *testing.T) {
	controls := []struct {
		name     string
		wrap     func(*strictfs.FS) queue.FS
		ackEarly bool
	}{
		{"file not synced", func(f *strictfs.FS) queue.FS { return mutant{FS: f, noFileSync: true} }, false},
		{"directory not synced", func(f *strictfs.FS) queue.FS { return mutant{FS: f, noDirSync: true} }, false},
		{"acknowledged before commit", plain, true},
		{"checkpoint not synced", func(f *strictfs.FS) queue.FS { return mutant{FS: f, noSyncAll: true} }, false},
	}
	for _, c := range controls {
		for kind, run := range histories {
			if kind == "syncs" && c.name == "checkpoint not synced" {
				continue // there is none
			}
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				if _, wrong := crashEverywhere(run, strictfs.Posix, c.wrap, c.ackEarly); !hasLoss(wrong) {
					t.Errorf("no loss was found: the crash test is blind: %q", wrong)
				}
			})
		}
	}
}

func hasLoss(wrong []string) bool {
	for _, w := range wrong {
		if strings.Contains(w, "LOSS") {
			return true
		}
	}
	return false
}

// failEverywhere lets the n-th call fail, for n = 1, 2, … until a run meets no
// failure, and cuts the power at the end of each run.
func failEverywhere(run history, fault error, wrap func(*strictfs.FS) queue.FS) (runs int, wrong []string) {
	for n := 1; n < 10000; n++ {
		fsys := strictfs.New(strictfs.Posix)
		setup(fsys)
		fsys.FailAt(n, fault)
		l := run(fsys, wrap(fsys), false)
		if !fsys.Fired() {
			return runs, wrong
		}
		runs++
		fsys.FailAt(0, nil)
		for _, all := range []bool{false, true} {
			after := fsys.Crash(fsys.Events(), strictfs.Keep{Survives: func(int, int) bool { return all }})
			for _, w := range verify(after, l, fsys.Events()) {
				wrong = append(wrong, fmt.Sprintf("fault at call %d: %s", n, w))
			}
		}
		wrong = append(wrong, phantoms(fsys, l)...)
	}
	return runs, append(wrong, "the failures never end")
}

// setup makes the directories before faults begin.
func setup(fsys *strictfs.FS) {
	q, err := queue.New(queue.Options{FS: fsys})
	if err == nil {
		q.Setup()
	}
}

// phantoms are messages that were refused and lie ready in the queue.
func phantoms(fsys *strictfs.FS, l *ledger) (wrong []string) {
	for _, e := range l.messages {
		if !e.refused || e.id == "" {
			continue
		}
		for _, n := range []queue.Name{queue.Incoming, queue.Hold} {
			if st, err := fsys.Lstat(path.Join(string(n), string(e.id))); err == nil && st.Ready() {
				wrong = append(wrong, fmt.Sprintf("PHANTOM: %s was refused and is in %s", e.id, n))
			}
		}
	}
	return wrong
}

// An error at any call loses nothing that was acknowledged and delivers nothing
// that was refused.
func TestErrorAtEveryCall(t *testing.T) {
	for kind, run := range histories {
		for _, fault := range []error{syscall.EIO, syscall.ENOSPC} {
			runs, wrong := failEverywhere(run, fault, plain)
			for _, w := range wrong {
				t.Errorf("%s: %s", kind, w)
			}
			t.Logf("%s: %v: %d calls failed, one in each run", kind, fault, runs)
			if runs < 50 {
				t.Errorf("%s: only %d calls failed", kind, runs)
			}
		}
	}
}

// Negative control (d): to sync again after a failed sync and go on is a loss.
func TestErrorTestFindsRetriedSync(t *testing.T) {
	_, wrong := failEverywhere(lifetime, syscall.EIO, func(f *strictfs.FS) queue.FS { return mutant{FS: f, retrySync: true} })
	if !hasLoss(wrong) {
		t.Error("a sync that was tried again after a failure was not found out")
	}
}

// mutant is a queue's file system with a promise broken.
type mutant struct {
	*strictfs.FS
	noFileSync, noDirSync, noSyncAll, retrySync bool
}

func (m mutant) Syncer() (queue.Syncer, error) {
	if m.noSyncAll {
		return noSyncer{}, nil
	}
	return m.FS.Syncer()
}

type noSyncer struct{}

func (noSyncer) SyncAll() error { return nil }
func (noSyncer) Close() error   { return nil }

func (m mutant) SyncDir(name string) error {
	if m.noDirSync {
		return nil
	}
	return m.FS.SyncDir(name)
}

func (m mutant) Create(name string, mode fs.FileMode) (queue.File, error) {
	f, err := m.FS.Create(name, mode)
	return mutantFile{f, m}, err
}

type mutantFile struct {
	queue.File
	m mutant
}

func (f mutantFile) SyncData() error {
	if f.m.noFileSync {
		return nil
	}
	return f.File.SyncData()
}

func (f mutantFile) Sync() error {
	if f.m.noFileSync {
		return nil
	}
	err := f.File.Sync()
	if err != nil && f.m.retrySync {
		err = f.File.Sync()
	}
	return err
}
