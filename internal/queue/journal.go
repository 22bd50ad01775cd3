package queue

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"posthaste/internal/mail"
)

// Journal is the directory of the journal's segments.
const Journal Name = "journal"

// journal makes messages durable for many callers at once. A message is
// written to its queue file as always, and once more, whole, to the end of a
// segment; one sync of the segment then commits all messages that are in it by
// then. The queue files themselves are synced much later, all at once
// (checkpoint); a message that was delivered by then has been unlinked and
// costs the disk nothing more. After a crash replay makes the queue files good
// from the segments.
//
// A process writes segments of its own. A segment is locked by its writer as
// long as that lives: one without a lock is what a crash left behind.
type journal struct {
	fs  FS
	all Syncer
	ids *idMaker // names of segments
	now func() time.Time
	// notesOnly tells that this process commits no messages by the journal.
	notesOnly bool
	file      []byte // scratch, guarded by mu

	mu     sync.Mutex
	cur    *segment   // where frames are appended; nil: opened when needed
	left   []*segment // in use no more, not checkpointed yet
	spares []*segment // files for the next segments, at most maxSpares; none: a new one is made
	lean   bool       // there is to be none
	owed   []frame    // notes that could not be written
	failed error      // the last failure that nobody was told of yet
	rest   time.Time  // after a failure: no further try before

	keep  sync.Mutex // one checkpoint or sweep at a time; guards notes
	notes []notesFile
}

// segment is a file of the journal that this process writes. size, durable,
// notes, bad and lost are guarded by journal.mu.
type segment struct {
	name    string
	salt    uint32
	file    File
	group   syncs // syncs of file
	size    int64
	blocks  int64 // as far as the file's blocks were there from the start
	born    time.Time
	durable int64          // what was synced; size when nothing waits for a sync
	notes   bool           // it has marks or removals
	bad     bool           // a write or sync failed
	lost    error          // of the sync that failed: those who wait for the next one are not told by the kernel (R2)
	users   sync.WaitGroup // commits between their write and the end of their sync
	syncers sync.WaitGroup // calls of syncNotes that sync it
}

// A segment is checkpointed when it has this size or age.
const (
	segmentSize = 32 << 20
	segmentAge  = 10 * time.Second
)

// suffixes of files in the journal's directory.
const (
	newSuffix   = ".new"   // being made: not locked yet
	spareSuffix = ".spare" // of use no more, kept for the next segment
	notesSuffix = ".notes" // checkpointed: only its marks and removals still count
)

// isUnused tells whether a file of the journal is no segment.
func isUnused(name string) bool {
	return strings.HasSuffix(name, newSuffix) || strings.HasSuffix(name, spareSuffix)
}

// commit writes the frame of a message and returns when it is durable. Pieces
// of the message, if there are any, are in the given segment; the commit is void
// in another one. An error says nothing about the queue file: it can still be
// synced by itself.
func (j *journal) commit(f *frame, segment string) error {
	s, err := j.append(f)
	if err != nil {
		return err
	}
	defer s.users.Done()
	if segment != "" && s.name != segment {
		return errCheckpointed
	}
	if err := s.group.Sync(s.name); err != nil {
		j.abandon(s, err)
		return err
	}
	return nil
}

// errCheckpointed is the error of a message that a checkpoint came into.
var errCheckpointed = errors.New("the segment of the message's first pieces was checkpointed")

// errResting is the error of a journal that failed a moment ago.
var errResting = errors.New("the journal failed and is not tried yet")

// restTime is how long messages are synced file by file after a failure.
const restTime = time.Second

// fail notes a failure. The caller holds mu.
func (j *journal) fail(err error) error {
	j.failed = fmt.Errorf("journal: %w", err)
	j.rest = j.now().Add(restTime)
	return j.failed
}

// postpone leaves a failure to be told of with the next one that failure returns.
func (j *journal) postpone(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed = fmt.Errorf("journal: %w", err)
}

// failure returns the last failure once.
func (j *journal) failure() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.failed
	j.failed = nil
	return err
}

// note writes that a recipient is done or a message is gone. It is durable
// after the next syncNotes that returns nil; a crash of this process alone does
// not lose it.
func (j *journal) note(kind frameKind, id mail.QueueID, offset int64) {
	f := frame{kind: kind, id: id, offset: offset}
	if s, err := j.append(&f); err == nil {
		s.users.Done()
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.owed) < maxOwed {
		j.owed = append(j.owed, f)
	}
}

// maxOwed bounds the memory for notes while the disk refuses them. Those lost
// beyond it cost a repeated delivery, should the power be cut as well.
const maxOwed = 100_000

// payNotes writes the notes that could not be written before.
func (j *journal) payNotes() error {
	j.mu.Lock()
	owed := j.owed
	j.owed = nil
	j.mu.Unlock()
	for i := range owed {
		s, err := j.append(&owed[i])
		if err != nil {
			j.mu.Lock()
			j.owed = append(owed[i:], j.owed...)
			j.mu.Unlock()
			return err
		}
		s.users.Done()
	}
	return nil
}

// append writes a frame. The caller calls users.Done of the segment when it
// needs it no longer.
func (j *journal) append(f *frame) (*segment, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cur == nil {
		if j.now().Before(j.rest) {
			return nil, errResting
		}
		s, err := j.open()
		if err != nil {
			return nil, j.fail(err)
		}
		j.cur = s
	}
	s := j.cur
	b, err := f.appendTo(j.file[:0], s.salt)
	if err != nil {
		return nil, err
	}
	if cap(b) <= keepBuffer {
		j.file = b
	}
	if _, err := s.file.WriteAt(b, s.size); err != nil {
		// The frame may be there in part; nothing behind it could be read.
		s.bad = true
		j.leave()
		return nil, j.fail(err)
	}
	s.size += int64(len(b))
	s.notes = s.notes || f.kind == frameMark || f.kind == frameGone
	s.users.Add(1)
	return s, nil
}

// open makes a segment. Its name leads to it durably, and it is locked, before
// anybody can take it for a segment. The caller holds mu.
func (j *journal) open() (*segment, error) {
	name := string(Journal) + "/" + string(j.ids.next(j.now()))
	from, f, err := j.takeFile(name)
	if err != nil {
		return nil, err
	}
	blocks, err := j.publish(f, from, name)
	if err != nil {
		f.Close()
		j.fs.Remove(from)
		j.fs.Remove(name)
		return nil, err
	}
	s := &segment{name: name, salt: salt(name), file: f, born: j.now(), blocks: blocks}
	s.group.sync = func(string) error { return j.syncSegment(s) }
	return s, nil
}

// publish gives the file of a segment its name, durably, and tells how long it is.
func (j *journal) publish(f File, from, name string) (int64, error) {
	if err := j.fs.Rename(from, name); err != nil {
		return 0, err
	}
	if err := j.fs.SyncDir(string(Journal)); err != nil {
		return 0, err
	}
	if err := f.Probe(); err != nil {
		return 0, err
	}
	st, err := f.Stat()
	return st.Size, err
}

// syncSegment makes durable what was written to a segment before.
func (j *journal) syncSegment(s *segment) error {
	j.mu.Lock()
	end, lost := s.size, s.lost
	j.mu.Unlock()
	if lost != nil {
		return lost
	}
	err := s.file.SyncData()
	if err == nil && end > s.blocks {
		err = s.file.Probe()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		s.durable = max(s.durable, end)
	} else {
		s.lost = err
	}
	return err
}

// takeFile finds a locked file for a segment: a spare one, in which syncs are
// cheaper because no blocks have to be found for it, or a new one.
func (j *journal) takeFile(name string) (string, File, error) {
	if n := len(j.spares); n > 0 {
		s := j.spares[n-1]
		j.spares = j.spares[:n-1]
		return s.name, s.file, nil
	}
	f, err := j.createLocked(name + newSuffix)
	return name + newSuffix, f, err
}

// createLocked makes a file and locks it. Until it is locked a sweep of another
// process takes it for what a crash left behind, and removes it.
func (j *journal) createLocked(name string) (File, error) {
	for tries := 1; ; tries++ {
		f, err := j.fs.Create(name, 0o600)
		if err != nil {
			return nil, err
		}
		ok, err := f.TryLock()
		if err == nil && ok && j.leadsTo(name, f) {
			return f, nil
		}
		f.Close()
		j.fs.Remove(name)
		if err == nil && tries == 3 {
			err = fmt.Errorf("%s is removed again and again by somebody else", name)
		}
		if err != nil {
			return nil, err
		}
	}
}

// leadsTo tells whether a name is that of an open file.
func (j *journal) leadsTo(name string, f File) bool {
	st, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := j.fs.Lstat(name)
	return err == nil && now.Inode == st.Inode
}

// spareRoom is how much room a disk has left when a spare file is no loss to
// anybody.
const spareRoom = 10 * segmentSize

// roomy tells whether there may be a spare file: on a small disk, or one that is
// nearly full, messages need the room more.
func (j *journal) roomy() bool {
	j.mu.Lock()
	lean := j.lean
	j.mu.Unlock()
	if lean {
		return false
	}
	room, err := j.fs.Room()
	return err == nil && room >= spareRoom
}

// prepare makes a spare file whose blocks are all there, when there is none and no
// second one in use: each sync of a file that grows costs a commit of the file system.
// A segment that was begun meanwhile gives way to it. After an error no more is tried.
func (j *journal) prepare() error {
	if !j.scarce() || !j.roomy() {
		return nil
	}
	err := j.makeSpare()
	if err != nil {
		j.slim()
	}
	return err
}

// scarce tells whether there is no file with blocks to come, unless all are in use.
func (j *journal) scarce() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := len(j.spares)
	for _, s := range append(j.left[:len(j.left):len(j.left)], j.cur) {
		if s != nil && s.blocks > 0 {
			n++
		}
	}
	return len(j.spares) == 0 && n < maxSpares
}

func (j *journal) makeSpare() error {
	name := string(Journal) + "/" + string(j.ids.next(j.now())) + spareSuffix
	f, err := j.createLocked(name)
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < segmentSize && err == nil; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros, at)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Close()
		j.fs.Remove(name)
		return err
	}
	j.keepSpare(&segment{name: name, file: f, blocks: segmentSize})
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cur != nil && j.cur.blocks == 0 {
		j.leave()
	}
	return nil
}

// maxSpares is how many files are kept for later segments. While a segment is
// checkpointed, its file is not free yet and the next one is in use already.
const maxSpares = 2

// keepSpare keeps a file for a later segment. Of too many those go that have the
// fewest blocks.
func (j *journal) keepSpare(s *segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.spares = append(j.spares, s)
	slices.SortFunc(j.spares, func(a, b *segment) int { return cmp.Compare(a.blocks, b.blocks) })
	most := maxSpares
	if j.lean { // it was asked for meanwhile
		most = 0
	}
	j.dropSpares(most)
}

// dropSpares removes all spare files but the largest few. The caller holds mu.
func (j *journal) dropSpares(most int) {
	for len(j.spares) > most {
		j.discard(j.spares[0])
		j.spares = j.spares[1:]
	}
}

// discard removes a file that holds nothing.
func (j *journal) discard(s *segment) {
	j.fs.Remove(s.name)
	s.file.Close()
}

// slim gives the spare files up for good. A segment that is in use now is removed
// after its checkpoint.
func (j *journal) slim() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lean = true
	j.dropSpares(0)
}

// abandon takes a segment whose sync failed out of use (R2): what was written
// to it is not to be trusted, and nothing more is.
func (j *journal) abandon(s *segment, why error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s.bad = true
	j.fail(why)
	if j.cur == s {
		j.leave()
	}
}

// leave lets the next frame open another segment. The caller holds mu.
func (j *journal) leave() {
	j.left = append(j.left, j.cur)
	j.cur = nil
}

// errUnsynced is the error of notes in a segment whose sync or write failed.
var errUnsynced = errors.New("notes are in a segment that failed")

// syncNotes makes marks and removals durable that are not yet, also those in
// segments that wait for a checkpoint.
func (j *journal) syncNotes() error {
	if err := j.payNotes(); err != nil {
		return err
	}
	list, failed := j.unsynced()
	for _, s := range list {
		if err := s.group.Sync(s.name); err != nil {
			j.abandon(s, err)
			failed = err
		}
		s.syncers.Done()
	}
	return failed
}

// unsynced are the segments with notes that are not durable yet; errUnsynced
// when one of them has failed. The caller calls syncers.Done of each.
func (j *journal) unsynced() (list []*segment, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range append(j.left[:len(j.left):len(j.left)], j.cur) {
		switch {
		case s == nil || !s.notes || s.durable >= s.size:
		case s.bad:
			err = errUnsynced
		default:
			s.syncers.Add(1)
			list = append(list, s)
		}
	}
	return list, err
}

// due tells whether it is time for a checkpoint.
func (j *journal) due() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.cur
	return len(j.left) > 0 || s != nil && s.size > 0 && (s.size >= segmentSize || j.now().Sub(s.born) >= segmentAge)
}
