package queue

import (
	"io"
	"io/fs"
	"time"
)

// FS is all that the queue asks of a file system: one small seam, so that
// tests can fail every call and can show the disk as a power cut would leave
// it. Names are relative to the queue directory. Errors are those of package
// syscall, wrapped so that errors.Is works. Symbolic links are never followed
// in the last element.
type FS interface {
	// Create makes a new regular file, open for reading and writing.
	Create(name string, mode fs.FileMode) (File, error)
	// Open opens an existing file; write asks for writing as well.
	Open(name string, write bool) (File, error)
	// Append opens a file for writing at its end, making it when it is not there.
	Append(name string, mode fs.FileMode) (File, error)
	Rename(from, to string) error
	// Remove removes a file, or an empty directory.
	Remove(name string) error
	Mkdir(name string, mode fs.FileMode) error
	Lstat(name string) (Stat, error)
	// ReadDir calls each for every entry but . and .., in no order, until it
	// returns false. Entries made or removed meanwhile may or may not be seen.
	ReadDir(name string, each func(entry DirEntry) bool) error
	// SyncDir makes the entries of a directory durable.
	SyncDir(name string) error
	// Syncer opens the means to sync the whole file system.
	Syncer() (Syncer, error)
	// Room is how many bytes there are for users other than root.
	Room() (int64, error)
}

// Dir is an open directory, by which many of its files are looked at for less
// than by their names from the queue directory on. Lstat and Open are as in FS;
// Open is for reading, and leaves no time of access where that is allowed: the
// disk would have to write it for each message of a listing.
type Dir interface {
	Lstat(name string) (Stat, error)
	Open(name string) (File, error)
	Close() error
}

// dirOpener is an FS that can open directories; for others names do.
type dirOpener interface {
	OpenDir(name string) (Dir, error)
}

// openDir opens a directory.
func openDir(fsys FS, name string) (Dir, error) {
	if d, able := fsys.(dirOpener); able {
		return d.OpenDir(name)
	}
	return namedDir{fsys, name}, nil
}

// namedDir looks at files by their names.
type namedDir struct {
	fs   FS
	name string
}

func (d namedDir) Lstat(name string) (Stat, error) { return d.fs.Lstat(d.name + "/" + name) }
func (d namedDir) Open(name string) (File, error)  { return d.fs.Open(d.name+"/"+name, false) }
func (d namedDir) Close() error                    { return nil }

// Syncer syncs a whole file system.
type Syncer interface {
	// SyncAll makes everything durable that was done before. It fails also when
	// any write to the file system, by anybody, has failed since the last call
	// or since the Syncer was opened.
	SyncAll() error
	Close() error
}

// File is an open queue file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	// SyncData makes the content durable, and not the mode and the times: with a
	// file that does not grow the disk has nothing else to write.
	SyncData() error
	Chmod(mode fs.FileMode) error
	// Probe changes nothing but the time of change, and fails when the file system
	// has stopped because it could not write its own journal. Of that it tells
	// whoever waits for a sync at the moment, also in another process, and may say
	// of other syncs that all is well: they count when Probe succeeds after them.
	Probe() error
	SetTimes(mtime time.Time) error
	Truncate(size int64) error
	Stat() (Stat, error)
	// TryLock takes an exclusive lock on the open file (flock); false when
	// somebody else holds it. The lock is also held by every copy of the
	// descriptor, in other processes too.
	TryLock() (bool, error)
	// Fd is the descriptor, to be passed to a delivery agent; -1 when the
	// file has none.
	Fd() int
}

// Stat is what the queue wants to know of a file.
type Stat struct {
	Mode  fs.FileMode // type and permission bits
	Size  int64
	MTime time.Time
	CTime time.Time // last change of anything, also of the name; zero: not kept
	ATime time.Time // last read, as far as the file system keeps it, or SetTimes
	Inode uint64
	Links uint64
	UID   uint32
}

// Ready tells whether a queue file is complete: a regular file whose owner
// bits are rwx.
func (s Stat) Ready() bool { return s.Mode.IsRegular() && s.Mode.Perm()&0o700 == 0o700 }

// Dropped tells whether a file in maildrop was dropped there. One that was moved
// there from another queue (postsuper -r) does not have the mode bit.
func (s Stat) Dropped() bool { return s.Mode.Perm()&0o004 != 0 }

// DirEntry is one name in a directory.
type DirEntry struct {
	Name    string
	Dir     bool
	Regular bool   // false also when the file system does not tell
	Inode   uint64 // 0: not told
}
