package queue

import (
	"errors"
	"io/fs"
	"iter"
	"strings"

	"posthaste/internal/mail"
)

// Folder is one directory of a queue, opened to look at all its messages. It is
// safe for concurrent use; who got it last closes it.
type Folder struct {
	Queue Name
	q     *Queue
	path  string
	dir   Dir
	logs  Dir // of most of the defer logs; nil: none
	under string
}

// Batch is some messages that lie in one folder.
type Batch struct {
	Folder *Folder
	IDs    []mail.QueueID
}

// Batches yields what List does, up to size messages at a time. All batches of
// a folder come one after the other.
func (q *Queue) Batches(n Name, size int) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		var b Batch
		flush := func() bool {
			ids := b.IDs
			b.IDs = nil
			return len(ids) == 0 || yield(Batch{b.Folder, ids}, nil)
		}
		q.walk(string(n), 0, func(dir, name string, err error) bool {
			id := mail.QueueID(name)
			switch {
			case err != nil:
				return flush() && yield(Batch{}, err)
			case !id.Valid():
				return true
			}
			if b.Folder == nil || b.Folder.path != dir {
				if !flush() {
					return false
				}
				if b.Folder, err = q.openFolder(n, dir); err != nil {
					b.Folder = nil
					return yield(Batch{}, err)
				}
			}
			if b.IDs == nil {
				b.IDs = make([]mail.QueueID, 0, size)
			}
			b.IDs = append(b.IDs, id)
			return len(b.IDs) < size || flush()
		})
		flush()
	}
}

// Listed is a file in a queue.
type Listed struct {
	ID   mail.QueueID
	Stat Stat
}

// ListStats is List with what Stat tells of each file. One that has moved on
// meanwhile is left out.
func (q *Queue) ListStats(n Name) iter.Seq2[Listed, error] {
	const batch = 64
	return func(yield func(Listed, error) bool) {
		var last *Folder
		defer func() {
			if last != nil {
				last.Close()
			}
		}()
		for b, err := range q.Batches(n, batch) {
			if err != nil {
				if !yield(Listed{}, err) {
					return
				}
				continue
			}
			if last != nil && last != b.Folder {
				last.Close()
			}
			last = b.Folder
			for _, id := range b.IDs {
				st, err := b.Folder.Stat(id)
				if errors.Is(err, ErrGone) {
					continue
				}
				if !yield(Listed{id, st}, err) {
					return
				}
			}
		}
	}
}

func (q *Queue) openFolder(n Name, path string) (*Folder, error) {
	dir, err := openDir(q.fs, path)
	if err != nil {
		return nil, err
	}
	f := &Folder{Queue: n, q: q, path: path, dir: dir, under: string(DeferLog) + strings.TrimPrefix(path, string(n))}
	if logs, err := openDir(q.fs, f.under); err == nil {
		f.logs = logs
	}
	return f, nil
}

// Close closes the folder.
func (f *Folder) Close() error {
	err := f.dir.Close()
	if f.logs != nil {
		err = errors.Join(err, f.logs.Close())
	}
	return err
}

// Stat tells about a message's file. ErrGone when it is not there.
func (f *Folder) Stat(id mail.QueueID) (Stat, error) {
	st, err := f.dir.Lstat(string(id))
	if errors.Is(err, fs.ErrNotExist) {
		return st, ErrGone
	}
	return st, err
}

// Open opens a message as Queue.Open does.
func (f *Folder) Open(id mail.QueueID) (*Message, error) {
	file, err := f.dir.Open(string(id))
	return opened(file, err)
}

// DeferLog reads the log of the last attempt; none has no entries.
func (f *Folder) DeferLog(id mail.QueueID) ([]LogEntry, error) {
	if f.logs != nil {
		file, err := f.logs.Open(string(id))
		if err == nil {
			return readLog(DeferLog, file)
		}
		// The message may lie in another directory than it should.
		if errors.Is(err, fs.ErrNotExist) && dir(f.q.Path(DeferLog, id)) == f.under {
			return nil, nil
		}
	}
	return f.q.ReadLog(DeferLog, id)
}
