package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// Claimed is a claimed message: it lies in active, this process holds its lock,
// and nobody else may touch it. Calls must not overlap. It ends with one of
// Remove, Defer, Release, HoldBack or SetAside.
type Claimed struct {
	ID         mail.QueueID
	Info       *record.Info
	Unthrottle bool // its file asked to retry dead destinations too
	Expire     bool // its file asked to be returned now (postsuper -e, -f)

	q      *Queue
	file   File // read-only, locked
	marks  File // for writing, opened when needed
	marked bool
	broken error // of a marks that was closed
	// unnoted tells of changes that only a sync of the file makes durable.
	unnoted bool
}

// ClaimOptions say which messages a claim takes.
type ClaimOptions struct {
	Any   bool // take it though its time has not come: a flush
	Limit int  // how many recipients to read at first; 0: all
}

// clockSlack: time stamps have whole seconds, so that an attempt may come one
// second early; as Postfix does.
const clockSlack = time.Second

// modes of a ready file that carry wishes.
const (
	unthrottleBit = fs.FileMode(0o040)
	expireBit     = fs.FileMode(0o010)
)

// Claim moves a message into active and reads it. ErrNotReady, ErrFuture,
// ErrLocked and ErrGone mean: not this one now; they are no reason to worry.
// ErrCorrupt means that the file was moved to the corrupt queue; the error
// says why. Other errors are I/O errors: the message stays where it was.
func (q *Queue) Claim(from Name, id mail.QueueID, o ClaimOptions) (*Claimed, error) {
	if !id.Valid() {
		return nil, fmt.Errorf("%w: bad queue id %q", ErrNotReady, id)
	}
	f, err := q.openReady(from, id)
	if err != nil {
		return nil, err
	}
	m, err := q.take(f, from, id, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	return m, nil
}

// openReady opens the file of a message. What cannot be opened and is no message,
// a link or the unfinished file of somebody else, is ErrNotReady.
func (q *Queue) openReady(n Name, id mail.QueueID) (File, error) {
	path := q.Path(n, id)
	f, err := q.fs.Open(path, false)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrGone
	}
	if st, e := q.fs.Lstat(path); e == nil && !st.Ready() {
		return nil, fmt.Errorf("%w: %w", ErrNotReady, err)
	}
	return nil, err
}

// take claims the open file.
func (q *Queue) take(f File, from Name, id mail.QueueID, o ClaimOptions) (*Claimed, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Ready() {
		return nil, ErrNotReady
	}
	// Only a deferred file's time stamp says when it is due. In incoming one that
	// lies ahead is left from a clock that was set back, or from a crash.
	if from == Deferred && !o.Any && !q.due(st.MTime) {
		return nil, ErrFuture
	}
	if ok, err := f.TryLock(); err != nil {
		return nil, err
	} else if !ok {
		return nil, ErrLocked
	}
	if err := q.rename(q.Path(from, id), q.Path(Active, id)); err != nil {
		return nil, err
	}
	m := &Claimed{ID: id, q: q, file: f,
		Unthrottle: st.Mode&unthrottleBit != 0, Expire: st.Mode&expireBit != 0}
	if m.Info, err = record.Read(f, o.Limit); err != nil {
		if errors.Is(err, record.ErrDamaged) {
			return nil, m.setAside(err)
		}
		return nil, errors.Join(err, q.rename(q.Path(Active, id), q.Path(from, id)))
	}
	if m.Unthrottle {
		m.clearUnthrottle(st.Mode)
	}
	return m, nil
}

// clearUnthrottle takes the wish back: it counts once. Failing to is harmless.
func (m *Claimed) clearUnthrottle(mode fs.FileMode) {
	m.file.Chmod(mode.Perm() &^ unthrottleBit)
}

// due tells whether a message with this time stamp may be tried now. A stamp
// further ahead than any back-off is left from a clock that jumped (R8).
func (q *Queue) due(at time.Time) bool {
	wait := at.Sub(q.now())
	return wait <= clockSlack || q.delay > 0 && wait > q.delay+time.Minute
}

// Entries reads further recipients that are still to be done, from an
// Info.Next or an earlier next on; next is 0 at the end.
func (m *Claimed) Entries(from record.Position, limit int) ([]record.Entry, record.Position, error) {
	return record.ReadEntries(m.file, m.Info, from, limit)
}

// Content is the message's content, to be read by this process.
func (m *Claimed) Content() record.Content { return m.Info.Content }

// MarkDone notes in the file that a recipient needs no more delivery: one byte
// in place. It becomes durable within SyncInterval, and with Defer at the latest.
func (m *Claimed) MarkDone(e record.Entry) error {
	if err := m.openMarks(); err != nil {
		return err
	}
	err := markAt(m.marks, e.Offset)
	if errors.Is(err, errNoRecipient) {
		return fmt.Errorf("%s: %w at offset %d", m.ID, err, e.Offset)
	}
	if err == nil {
		m.marked = true
		if j := m.q.journal; j != nil {
			j.note(frameMark, m.ID, e.Offset)
		} else {
			m.unnoted = true
			m.q.marked.note(m.q.Path(Active, m.ID)) // another recipient may keep it there for long
		}
	}
	return err
}

var errNoRecipient = errors.New("no recipient record")

// markAt turns the recipient record at an offset into one that is done.
func markAt(f File, at int64) error {
	var have [1]byte
	if _, err := f.ReadAt(have[:], at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch record.Type(have[0]) {
	case record.Recipient, record.Done: // one that is there may be in memory only, after a sync that failed
	default:
		return errNoRecipient
	}
	_, err := f.WriteAt([]byte{byte(record.Done)}, at)
	return err
}

// openMarks opens the file for writing. Rest closes it.
func (m *Claimed) openMarks() error {
	if m.marks != nil {
		return nil
	}
	st, err := m.file.Stat()
	if err != nil {
		return err
	}
	// The administrator may have put it on hold, or sent it round again,
	// meanwhile: a mark is due there as well, or the recipient gets two copies. A
	// move can hide it once, so it is looked for twice.
	places := []Name{Active, Hold, Deferred, Maildrop}
	for _, n := range append(places, places...) {
		f, err := m.q.fs.Open(m.q.Path(n, m.ID), true)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if now, err := f.Stat(); err == nil && now.Inode == st.Inode {
			m.marks = f
			return nil
		}
		f.Close() // another file of that name
	}
	return ErrGone
}

// Rest gives back the descriptor for marks, since nothing of the message is being
// delivered: one descriptor is enough for it to wait. The next mark takes one again.
func (m *Claimed) Rest() {
	if m.marks != nil {
		m.broken = errors.Join(m.broken, m.marks.Close())
		m.marks = nil
	}
}

// The delay-warning record: type, length, and a time that is -1 once the
// warning was sent.
const (
	warnHead   = 2
	warned     = "             -1"
	warnRecord = warnHead + int64(len(warned))
)

// SetWarned notes that the delay warning was sent.
func (m *Claimed) SetWarned() error {
	at := m.Info.WarnOffset()
	if at == 0 {
		return nil
	}
	if err := m.openMarks(); err != nil {
		return err
	}
	m.marked = true
	m.unnoted = true
	_, err := m.marks.WriteAt([]byte(warned), at+warnHead)
	if err == nil {
		m.Info.WarnAt, m.Info.Warned = time.Time{}, true
	}
	return err
}

// SetReported notes that the report of sendmail -v was sent: it tells of the
// first attempt. A crash may undo the note, and then there is another report.
func (m *Claimed) SetReported() error {
	at := m.Info.TraceOffset()
	if at == 0 || m.Info.Trace&mail.TraceRecord == 0 {
		return nil
	}
	if err := m.openMarks(); err != nil {
		return err
	}
	m.marked = true
	m.unnoted = true
	_, err := m.marks.WriteAt([]byte{byte(record.Killed)}, at)
	if err == nil {
		m.Info.Trace &^= mail.TraceRecord
	}
	return err
}

// isWarned tells whether SetWarned was called on a file.
func isWarned(f File, at int64) bool {
	var have [len(warned)]byte
	_, err := f.ReadAt(have[:], at+warnHead)
	return err == nil && string(have[:]) == warned
}

// Remove ends the message: all recipients are done. ErrGone means that the
// administrator was faster, and may have moved the message. After any error the
// claim goes on, so that recipients can be marked, and Close ends it.
func (m *Claimed) Remove() error {
	path := m.q.Path(Active, m.ID)
	m.q.noteGone(m.ID)
	err := m.q.fs.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrGone
	}
	if err != nil {
		return err
	}
	m.close()
	m.q.moved.mark(path)
	return nil
}

// Defer puts the message into deferred until the given time. Marks are made
// durable first, so that nobody whose copy was delivered before is tried again.
func (m *Claimed) Defer(at time.Time) error { return m.leave(Deferred, at) }

// Release puts the message back into incoming, due at once: nothing was tried.
func (m *Claimed) Release() error { return m.leave(Incoming, m.q.now()) }

func (m *Claimed) leave(to Name, at time.Time) error {
	defer m.close()
	if err := m.syncMarks(); err != nil {
		return err
	}
	if err := m.file.SetTimes(at); err != nil {
		return err
	}
	return m.q.rename(m.q.Path(Active, m.ID), m.q.Path(to, m.ID))
}

// syncMarks makes the marks durable: by the notes in the journal when all of
// them are noted there, else in the file itself. It is synced by the descriptor that
// is open since before the first mark: the kernel tells that one of every error, also
// of one that somebody else was told of meanwhile (R2).
func (m *Claimed) syncMarks() error {
	switch {
	case !m.marked:
		return nil
	case !m.unnoted && m.q.journal.syncNotes() == nil:
		return nil
	case m.broken != nil:
		return m.broken
	}
	return m.file.Sync()
}

// SetAside moves the message to the corrupt queue, because an agent found its
// content damaged. The returned error wraps ErrCorrupt and the reason, for the log.
func (m *Claimed) SetAside(reason error) error {
	defer m.close()
	return m.setAside(reason)
}

func (m *Claimed) setAside(reason error) error {
	if err := m.q.rename(m.q.Path(Active, m.ID), m.q.Path(Corrupt, m.ID)); err != nil {
		return fmt.Errorf("%w (and moving it failed: %w)", reason, err)
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, reason)
}

// File is the read-only descriptor to pass to an agent; -1 when there is none.
func (m *Claimed) File() int { return m.file.Fd() }

// Close gives up the claim and leaves the file in active, where the next start
// finds it: for a shutdown in haste.
func (m *Claimed) Close() { m.close() }

func (m *Claimed) close() {
	m.Rest()
	if m.file != nil {
		m.file.Close()
		m.file = nil
	}
}
