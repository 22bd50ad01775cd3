package queue

import (
	"cmp"
	"errors"
	"io/fs"
	"iter"
	"slices"
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
		c := collector{queue: n, q: q, size: size, yield: yield}
		q.walk(string(n), 0, c.take)
		c.flush()
	}
}

// A long directory is read in the order of the inodes, which is about that of
// the files on the disk: what is not in memory then comes several times as fast.
// sortLeast is what counts as long, and sortMost how many names are kept for it.
const (
	sortLeast = 1 << 10
	sortMost  = 1 << 16
)

// collector collects names of one directory.
type collector struct {
	queue   Name
	q       *Queue
	size    int
	yield   func(Batch, error) bool
	path    string
	folder  *Folder // of path, once something of it was yielded
	entries []DirEntry
	ended   bool
}

// take takes a name, as walk finds it.
func (c *collector) take(dir string, e DirEntry, err error) bool {
	if err != nil {
		return c.flush() && c.pass(Batch{}, err)
	}
	if !mail.QueueID(e.Name).Valid() {
		return true
	}
	if dir != c.path {
		if !c.flush() {
			return false
		}
		c.path, c.folder = dir, nil
	}
	c.entries = append(c.entries, e)
	return len(c.entries) < sortMost || c.flush()
}

func (c *collector) pass(b Batch, err error) bool {
	c.ended = !c.yield(b, err)
	return !c.ended
}

// flush yields what was collected.
func (c *collector) flush() bool {
	list := c.entries
	if c.ended || len(list) == 0 {
		return !c.ended
	}
	c.entries = list[:0]
	if c.folder == nil {
		var err error
		if c.folder, err = c.q.openFolder(c.queue, c.path); err != nil {
			return c.pass(Batch{}, err)
		}
	}
	if len(list) >= sortLeast {
		slices.SortFunc(list, func(a, b DirEntry) int { return cmp.Compare(a.Inode, b.Inode) })
	}
	for part := range slices.Chunk(list, c.size) {
		ids := make([]mail.QueueID, len(part))
		for i, e := range part {
			ids[i] = mail.QueueID(e.Name)
		}
		if !c.pass(Batch{c.folder, ids}, nil) {
			return false
		}
	}
	return true
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
