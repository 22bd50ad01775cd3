package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// Draft is a message that is being written: a file in incoming (or hold) that
// readers ignore until Commit, since its mode says that it is not ready. It is
// not safe for concurrent use.
type Draft struct {
	q     *Queue
	id    mail.QueueID
	where Name
	began Name // the queue it was created in
	file  File
	w     *record.Writer
	drop  bool // a maildrop file
	ended bool
	log   pieces
	// failures is how many syncs of directories had failed before it was created.
	failures int
}

var writers = sync.Pool{New: func() any { return new(record.Writer) }}

// keepBuffer is the largest writer buffer that is kept for the next message.
const keepBuffer = 80 << 10

// idTries bounds the search for a free name; more would mean a broken clock or
// random source.
const idTries = 100

// Create begins a message in a queue. The file has its final name from the
// start: the directory entry is then older than the data, and one sync of each
// makes both durable. Errors are *mail.Error.
func (q *Queue) Create(where Name) (*Draft, error) {
	failures := q.dirs.Failures()
	id, f, err := q.create(where)
	if err != nil {
		return nil, noSpace(err)
	}
	d := &Draft{q: q, id: id, where: where, began: where, file: f, failures: failures, w: writers.Get().(*record.Writer)}
	d.w.Reset(d)
	return d, nil
}

// CreateDrop begins a file in maildrop, which is made with the rights of the
// group that may write there and not of the mail system. Others may read it.
func (q *Queue) CreateDrop() (*Draft, error) {
	failures := q.dirs.Failures()
	id, f, err := q.create(Maildrop)
	if err != nil {
		return nil, noSpace(err)
	}
	return &Draft{q: q, id: id, where: Maildrop, began: Maildrop, file: f, failures: failures, w: record.NewMaildropWriter(f), drop: true}, nil
}

func (q *Queue) create(where Name) (mail.QueueID, File, error) {
	if q.short {
		return q.createShort(where)
	}
	for range idTries {
		id := q.ids.next(q.now())
		f, err := q.createFile(q.Path(where, id))
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		return id, f, err
	}
	return "", nil, fmt.Errorf("no free queue id in %s", where)
}

func (q *Queue) createFile(path string) (File, error) {
	f, err := q.fs.Create(path, 0o600)
	if errors.Is(err, fs.ErrNotExist) && q.makeHash(path) == nil {
		f, err = q.fs.Create(path, 0o600)
	}
	return f, err
}

// createShort makes the file under a passing name, takes the inode number into
// the id, and renames it once no queue and no log has that name (R9).
func (q *Queue) createShort(where Name) (mail.QueueID, File, error) {
	for range idTries {
		now := q.now()
		temp := q.Path(where, q.ids.next(now))
		f, err := q.createFile(temp)
		if err != nil {
			return "", nil, err
		}
		st, err := f.Stat()
		if err == nil {
			id := shortID(now, st.Inode)
			if !q.taken(id) {
				if err = q.rename(temp, q.Path(where, id)); err == nil {
					return id, f, nil
				}
			}
		}
		f.Close()
		q.fs.Remove(temp)
		if err != nil {
			return "", nil, err
		}
	}
	return "", nil, fmt.Errorf("no free queue id in %s", where)
}

// taken tells whether any queue or log knows the id.
func (q *Queue) taken(id mail.QueueID) bool {
	for _, names := range [][]Name{Names, Logs} {
		for _, n := range names {
			if _, err := q.fs.Lstat(q.Path(n, id)); err == nil {
				return true
			}
		}
	}
	return false
}

// ID is the message's queue id.
func (d *Draft) ID() mail.QueueID { return d.id }

// Records is where the message's records are written. Its End is called by
// Commit.
func (d *Draft) Records() *record.Writer { return d.w }

// Hold makes the message wait in the hold queue.
func (d *Draft) Hold() error {
	if d.where == Hold {
		return nil
	}
	if err := d.q.rename(d.q.Path(d.where, d.id), d.q.Path(Hold, d.id)); err != nil {
		return noSpace(err)
	}
	d.where = Hold
	return nil
}

// Held tells whether the message goes to the hold queue.
func (d *Draft) Held() bool { return d.where == Hold }

// Commit makes the message durable and ready. When it returns nil, the message
// survives a power cut and may be acknowledged; otherwise nothing of it is left
// and the error (*mail.Error) says what to tell the client. A sync that failed
// is never tried again: the kernel may have dropped the data (R2).
func (d *Draft) Commit(context.Context) error {
	if d.ended {
		return noSpace(errors.New("message was already ended"))
	}
	err := d.commit()
	if err != nil {
		d.Discard()
		if errors.Is(err, record.ErrEnvelopeText) {
			return &mail.Error{Reply: 501, Code: "5.1.7", Text: "Bad address syntax", Err: err}
		}
		return noSpace(err)
	}
	d.ended = true
	d.release()
	return nil
}

func (d *Draft) commit() error {
	d.log.last = true
	if err := d.w.End(); err != nil {
		return err
	}
	// Until the file is durable nobody may claim it: should the sync fail, the
	// client is told so and must not find the message delivered all the same.
	if _, err := d.file.TryLock(); err != nil {
		return err
	}
	mode := fs.FileMode(0o700)
	if d.drop {
		mode = 0o744
	}
	if err := d.file.Chmod(mode); err != nil {
		return err
	}
	if err := d.makeDurable(); err != nil {
		return err
	}
	err := d.file.Close()
	d.file = nil
	return err
}

// makeDurable returns when the message survives a power cut: by the journal, or
// by syncs of its own file and directory when it is large or the journal fails.
func (d *Draft) makeDurable() error {
	if d.commitJournal() {
		return nil
	}
	if err := d.file.Sync(); err != nil {
		return err
	}
	if err := d.syncEntry(); err != nil {
		return err
	}
	if d.began != d.where {
		// A rename is whole only when both ends are durable.
		if err := d.q.dirs.Sync(dir(d.q.Path(d.began, d.id))); err != nil {
			return err
		}
	}
	if d.q.dirs.Failures() != d.failures {
		return errSyncBefore
	}
	return d.file.Probe()
}

// errSyncBefore is the error of a name that the sync of somebody else, which
// failed, may have dropped: that its own sync went well says nothing (R2).
var errSyncBefore = errors.New("a sync of a directory failed since the name was made")

// syncEntry makes the name of the file durable. Who may write to maildrop
// cannot open that directory (mode 0730), and has the file do it.
func (d *Draft) syncEntry() error {
	err := d.q.dirs.Sync(dir(d.q.Path(d.where, d.id)))
	if f, able := d.file.(interface{ SyncEntry() error }); able && d.drop && errors.Is(err, fs.ErrPermission) {
		return f.SyncEntry()
	}
	return err
}

// Discard removes the message as if it had never been. It may be called after
// Commit, and does nothing then.
func (d *Draft) Discard() {
	if d.ended {
		return
	}
	d.ended = true
	if d.log.tried {
		d.q.noteGone(d.id) // a commit that failed must not come back
	}
	d.q.fs.Remove(d.q.Path(d.where, d.id))
	d.release()
}

// release gives up the descriptor and the writer.
func (d *Draft) release() {
	if d.file != nil {
		d.file.Close()
		d.file = nil
	}
	if d.w != nil && !d.drop && d.w.Cap() <= keepBuffer {
		writers.Put(d.w)
	}
	d.w = nil
}
