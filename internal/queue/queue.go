// Package queue is the message on disk: the states of its life as directories,
// the moves between them, and what makes them durable. It is the only package
// that touches the queue directory, and it does so through FS alone. The
// format inside the files belongs to queue/record.
//
// A message is created in incoming, claimed into active, and from there removed
// or moved to deferred; hold and corrupt are aside. Every move is one rename.
package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"posthaste/internal/mail"
)

// Name is a directory of the queue.
type Name string

// The queues, and the directories of per-message logs.
const (
	Maildrop Name = "maildrop"
	Incoming Name = "incoming"
	Active   Name = "active"
	Deferred Name = "deferred"
	Hold     Name = "hold"
	Corrupt  Name = "corrupt"

	DeferLog  Name = "defer"
	BounceLog Name = "bounce"
	TraceLog  Name = "trace"
	FlushLog  Name = "flush"
)

// Names are all directories that hold messages, in the order of a message's
// life.
var Names = []Name{Maildrop, Incoming, Active, Deferred, Hold, Corrupt}

// Logs are the directories of per-message logs.
var Logs = []Name{DeferLog, BounceLog, TraceLog}

// Options say how a queue is kept.
type Options struct {
	FS        FS
	HashNames []string // hash_queue_names
	HashDepth int      // hash_queue_depth
	ShortIDs  bool     // enable_long_queue_ids = no
	// Journal lets several messages share one sync. It needs queue ids that are
	// never used twice, and is not used with ShortIDs.
	Journal JournalUse
	// MaxDelay is the longest time a deferred file may be dated into the future before
	// its time stamp is taken for the mark of a clock that jumped and the file
	// counts as due (R8). 0: no limit.
	MaxDelay time.Duration
	Now      func() time.Time // nil: time.Now
}

// JournalUse is what a process does with the journal.
type JournalUse uint8

// The uses.
const (
	NoJournal    JournalUse = iota // it removes nothing that others committed
	NotesOnly                      // a command: notes what it removes, while the journal is in use
	WholeJournal                   // commits messages by it
)

// Queue is an open queue directory. It is safe for concurrent use, also by
// several processes, as long as one of them alone claims messages.
type Queue struct {
	fs     FS
	hashed []string
	depth  int
	short  bool
	delay  time.Duration
	now    func() time.Time
	ids    *idMaker
	dirs   syncs
	moved  dirty // directories
	marked dirty // files of messages in active, where there is no journal

	journal *journal // nil: each file is synced by itself
}

// Errors of Claim and the lookups.
var (
	ErrGone     = errors.New("message is gone")
	ErrNotReady = errors.New("message is not complete")
	ErrFuture   = errors.New("message is not due")
	ErrLocked   = errors.New("message is in use")
	ErrCorrupt  = errors.New("message is damaged and was set aside")
)

// New opens a queue. It makes no directories: Setup does.
func New(o Options) (*Queue, error) {
	ids, err := newIDMaker()
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	q := &Queue{
		fs: o.FS, hashed: o.HashNames, depth: o.HashDepth, short: o.ShortIDs,
		delay: o.MaxDelay, now: o.Now, ids: ids,
	}
	q.dirs.sync = o.FS.SyncDir
	if o.Journal == WholeJournal && !o.ShortIDs || o.Journal == NotesOnly && q.journalInUse() {
		all, err := o.FS.Syncer()
		if err != nil {
			return nil, err
		}
		q.journal = &journal{fs: o.FS, all: all, ids: ids, now: o.Now, notesOnly: o.Journal == NotesOnly}
	}
	return q, nil
}

// Setup makes the directories that are missing; owners are the caller's
// business.
func (q *Queue) Setup() error {
	for _, n := range slices.Concat(Names, Logs, []Name{FlushLog, Journal}) {
		if err := q.fs.Mkdir(string(n), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return q.fs.SyncDir(".")
}

// Path is the place of a message in a queue, relative to the queue directory.
func (q *Queue) Path(n Name, id mail.QueueID) string {
	if q.depth > 0 && slices.Contains(q.hashed, string(n)) {
		return string(n) + "/" + hashPath(id, q.depth) + string(id)
	}
	return string(n) + "/" + string(id)
}

// dir is the directory part of a path made by Path.
func dir(path string) string {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '/' {
			return path[:i]
		}
	}
	return "."
}

// rename moves a file and makes the hash directories that it needs.
func (q *Queue) rename(from, to string) error {
	err := q.fs.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		if _, gone := q.fs.Lstat(from); gone != nil {
			return ErrGone
		}
		if err = q.makeHash(to); err == nil {
			err = q.fs.Rename(from, to)
		}
	}
	if err == nil {
		q.moved.mark(from)
		q.moved.mark(to)
	}
	return err
}

// makeHash makes the missing directories above a path, durably: a message in
// them must not vanish with them.
func (q *Queue) makeHash(path string) error {
	d := dir(path)
	if err := q.fs.Mkdir(d, 0o700); err == nil || errors.Is(err, fs.ErrExist) {
		return q.fs.SyncDir(dir(d))
	} else if !errors.Is(err, fs.ErrNotExist) || d == "." {
		return err
	}
	if err := q.makeHash(d); err != nil {
		return err
	}
	if err := q.fs.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return q.fs.SyncDir(dir(d))
}

// Move moves a message from one queue to another: one rename, nothing in
// between. The target must be free (R6), or a link to the very same file.
func (q *Queue) Move(id mail.QueueID, from, to Name) error {
	if !id.Valid() {
		return fmt.Errorf("bad queue id %q", id)
	}
	source, target := q.Path(from, id), q.Path(to, id)
	if source == target {
		return nil // and no second name of the file, to be removed
	}
	if there, err := q.fs.Lstat(target); err == nil {
		st, err := q.fs.Lstat(source)
		if err != nil || st.Inode != there.Inode {
			return fmt.Errorf("%s: %w", target, fs.ErrExist)
		}
		// rename(2) does nothing for two names of one file.
		q.moved.mark(source)
		return q.fs.Remove(source)
	}
	return q.rename(source, target)
}

// noSpace turns a failure to write into what the client is told. Whatever is
// wrong with the disk here is temporary for the client (R7).
func noSpace(err error) *mail.Error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &mail.Error{Reply: 452, Code: "4.3.1", Text: "Insufficient system storage", Err: err}
	}
	return &mail.Error{Reply: 451, Code: "4.3.0", Text: "Error: queue file write error", Err: err}
}
