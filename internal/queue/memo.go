package queue

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"posthaste/internal/mail"
)

// Memos is the directory of memos.
const Memos Name = "listing"

// Memo is what listings have made of the messages in one folder, kept in a file
// so that the next one has to open only what changed. It is a help for memory
// and nothing else: an entry counts while inode, size and time of change of the
// queue file are what they were, a file that is not whole counts as none, and
// whoever removes it loses time only. (What is said of a message in its defer
// log changes while the message is active only, and every end of that changes
// the queue file too.)
//
// The file is a sequence of blocks:
//
//	 0  magic
//	 4  CRC-32C of everything behind this field
//	 8  length of the entries
//	12  entries
//
// and an entry is its length, the inode, the time of change in nanoseconds, the
// size, the length of the queue id, the queue id, and the text.
//
// It is safe for concurrent use until Close.
type Memo struct {
	fs   FS
	path string
	now  time.Time
	file File             // nil: there is none
	size int64            // of the file, as it was opened
	end  int64            // of what is whole of it
	at   map[uint64]int64 // by inode, where the entry stands in the file
	all  int              // entries in the file, those that were replaced included

	mu     sync.Mutex
	used   []int64    // places of entries that still count
	blocks memoWriter // what is new; it gets a file when there is enough
	fresh  int
	failed bool // nothing more is kept
}

const (
	memoMagic = 0x314d4850 // "PHM1"
	blockHead = 12
	entryHead = 4 + 8 + 8 + 8 + 1
	// memoBlock is how long a block becomes, and maxBlock what a reader takes.
	memoBlock = 64 << 10
	maxBlock  = 4 * memoBlock
	// MaxMemo bounds the text of an entry.
	MaxMemo = memoBlock
	// memoLeast is how many entries are worth a file, or a change of one.
	memoLeast = 256
	// memoSettled is how long ago a file must have changed: a change within the
	// same tick of the kernel's clock could not be told from it.
	memoSettled = 2 * time.Second
)

// Memo opens what is kept of a folder; keep tells whether to change it. A
// process that does must be one that may write to the queue.
func (f *Folder) Memo(keep bool) *Memo {
	m := &Memo{fs: f.q.fs, path: string(Memos) + "/" + strings.ReplaceAll(f.path, "/", "."), now: f.q.now(), failed: !keep}
	file, err := m.fs.Open(m.path, false)
	if err != nil {
		return m
	}
	st, err := file.Stat()
	if err != nil || !st.Mode.IsRegular() {
		file.Close()
		return m
	}
	m.file, m.size, m.at = file, st.Size, map[uint64]int64{}
	m.index()
	return m
}

// index reads the file up to its end, or the first block that is not whole.
func (m *Memo) index() {
	buf := make([]byte, maxBlock)
	for {
		block := readBlock(m.file, buf, m.end, m.size)
		if block == nil {
			return
		}
		for at := 0; at < len(block); {
			e, ok := parseMemo(block[at:])
			if !ok {
				return
			}
			m.at[e.inode] = m.end + blockHead + int64(at)
			m.all++
			at += e.length
		}
		m.end += blockHead + int64(len(block))
	}
}

// readBlock reads the entries of the block at an offset; nil: there is none.
func readBlock(f File, buf []byte, at, size int64) []byte {
	if at+blockHead > size || readFull(f, buf[:blockHead], at) != nil {
		return nil
	}
	sum := binary.LittleEndian.Uint32(buf[4:])
	n := binary.LittleEndian.Uint32(buf[8:])
	if binary.LittleEndian.Uint32(buf) != memoMagic || n > maxBlock-blockHead {
		return nil
	}
	block := buf[:blockHead+n]
	if readFull(f, block[blockHead:], at+blockHead) != nil || crc32.Checksum(block[8:], castagnoli) != sum {
		return nil
	}
	return block[blockHead:]
}

// memoEntry is an entry of a memo.
type memoEntry struct {
	length  int
	inode   uint64
	changed int64
	size    int64
	id      []byte
	text    []byte
}

func parseMemo(b []byte) (e memoEntry, ok bool) {
	if len(b) < entryHead {
		return e, false
	}
	e.length = int(binary.LittleEndian.Uint32(b))
	ids := int(b[entryHead-1])
	if e.length < entryHead+ids || e.length > len(b) {
		return e, false
	}
	e.inode = binary.LittleEndian.Uint64(b[4:])
	e.changed = int64(binary.LittleEndian.Uint64(b[12:]))
	e.size = int64(binary.LittleEndian.Uint64(b[20:]))
	e.id = b[entryHead : entryHead+ids]
	e.text = b[entryHead+ids : e.length]
	return e, true
}

// MemoReader gets texts from a memo; each goroutine has its own.
type MemoReader struct {
	memo *Memo
	buf  []byte
	from int64 // of buf in the file
	used []int64
}

// Reader begins to read.
func (m *Memo) Reader() *MemoReader { return &MemoReader{memo: m} }

// Get is what was kept of a message whose file is as st tells; nil: nothing that
// counts. It is valid until the next call.
func (r *MemoReader) Get(id mail.QueueID, st Stat) []byte {
	m := r.memo
	at, found := m.at[st.Inode]
	if !found || st.CTime.IsZero() {
		return nil
	}
	e, ok := r.entry(at)
	if !ok || e.inode != st.Inode || e.changed != st.CTime.UnixNano() || e.size != st.Size || string(e.id) != string(id) {
		return nil
	}
	r.used = append(r.used, at)
	return e.text
}

// entry reads the entry at an offset. Messages come in the order of their last
// listing, so most are in memory already.
func (r *MemoReader) entry(at int64) (memoEntry, bool) {
	if i := at - r.from; i >= 0 && i < int64(len(r.buf)) {
		if e, ok := parseMemo(r.buf[i:]); ok {
			return e, true
		}
	}
	if r.buf == nil {
		r.buf = make([]byte, 2*memoBlock)
	}
	n, _ := r.memo.file.ReadAt(r.buf[:cap(r.buf)], at) // what is missing does not parse
	r.buf, r.from = r.buf[:n], at
	return parseMemo(r.buf)
}

// Done tells the memo what was read so far; it must be called before the memo is
// closed.
func (r *MemoReader) Done() {
	r.memo.mu.Lock()
	r.memo.used = append(r.memo.used, r.used...)
	r.memo.mu.Unlock()
	r.used = r.used[:0]
}

// Put keeps a text for a message whose file was as st tells before it was read.
// What changed just now, and what is too long, is not kept.
func (m *Memo) Put(id mail.QueueID, st Stat, text []byte) {
	age := m.now.Sub(st.CTime)
	if st.CTime.IsZero() || age < memoSettled || len(text) > MaxMemo {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed {
		return
	}
	m.fresh++
	m.blocks.add(id, st, text)
	if m.blocks.full() {
		m.failed = m.write() != nil
	}
}

// write appends what is new to the file.
func (m *Memo) write() error {
	if m.blocks.file == nil {
		f, err := m.fs.Append(m.path, 0o600)
		if errors.Is(err, fs.ErrNotExist) && m.fs.Mkdir(string(Memos), 0o700) == nil {
			f, err = m.fs.Append(m.path, 0o600)
		}
		if err != nil {
			return err
		}
		if err := m.lock(f); err != nil {
			f.Close()
			return err
		}
		m.blocks.file, m.blocks.at = f, m.end
	}
	return m.blocks.write()
}

// errMemoBusy says that another listing writes, or has written, to the file.
var errMemoBusy = errors.New("another listing keeps what it read")

// lock makes sure that nobody else writes, and cuts off what is not whole.
func (m *Memo) lock(f File) error {
	if ok, err := f.TryLock(); err != nil || !ok {
		return errors.Join(err, errMemoBusy)
	}
	st, err := f.Stat()
	switch {
	case err != nil:
		return err
	case st.Size != m.size:
		return errMemoBusy
	case m.end < m.size:
		return f.Truncate(m.end)
	}
	return nil
}

// Close keeps what is new when that is worth it, and writes the file anew when
// most of it counts no more, as far as a listing of the whole folder tells.
func (m *Memo) Close(whole bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.failed && (m.blocks.file != nil || m.fresh >= memoLeast) {
		m.failed = m.write() != nil
	}
	if live := len(m.used) + m.fresh; whole && m.file != nil && !m.failed && m.all+m.fresh > 2*live+memoLeast {
		m.compact()
	}
	if m.blocks.file != nil {
		m.blocks.file.Close()
	}
	if m.file != nil {
		m.file.Close()
	}
}

// compact writes the entries that count into a new file; a file that would have
// few is removed.
func (m *Memo) compact() {
	if len(m.used)+m.fresh < memoLeast {
		m.fs.Remove(m.path)
		return
	}
	next := m.path + ".new"
	m.fs.Remove(next) // of a crash
	f, err := m.fs.Create(next, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	w := memoWriter{file: f}
	slices.Sort(m.used)
	r := m.Reader()
	for _, at := range slices.Compact(m.used) {
		e, ok := r.entry(at)
		if !ok {
			continue
		}
		w.raw(r.buf[at-r.from:][:e.length])
		if w.full() && w.write() != nil {
			m.fs.Remove(next)
			return
		}
	}
	if w.write() != nil || m.copyFresh(&w) != nil || m.fs.Rename(next, m.path) != nil {
		m.fs.Remove(next)
	}
}

// copyFresh copies the blocks that were appended.
func (m *Memo) copyFresh(w *memoWriter) error {
	if m.blocks.file == nil {
		return nil
	}
	buf := make([]byte, memoBlock)
	for at := m.end; at < m.blocks.at; {
		part := buf[:min(int64(len(buf)), m.blocks.at-at)]
		if err := readFull(m.blocks.file, part, at); err != nil {
			return err
		}
		if _, err := w.file.WriteAt(part, w.at); err != nil {
			return err
		}
		at += int64(len(part))
		w.at += int64(len(part))
	}
	return nil
}

// memoWriter writes blocks to a file.
type memoWriter struct {
	file File
	at   int64
	buf  []byte // a block in the making
}

func (w *memoWriter) add(id mail.QueueID, st Stat, text []byte) {
	w.head()
	b := binary.LittleEndian.AppendUint32(w.buf, uint32(entryHead+len(id)+len(text)))
	b = binary.LittleEndian.AppendUint64(b, st.Inode)
	b = binary.LittleEndian.AppendUint64(b, uint64(st.CTime.UnixNano()))
	b = binary.LittleEndian.AppendUint64(b, uint64(st.Size))
	b = append(b, byte(len(id)))
	b = append(b, id...)
	w.buf = append(b, text...)
}

// raw adds an entry as it stood in a file.
func (w *memoWriter) raw(entry []byte) {
	w.head()
	w.buf = append(w.buf, entry...)
}

func (w *memoWriter) head() {
	if len(w.buf) == 0 {
		w.buf = append(w.buf, make([]byte, blockHead)...)
	}
}

func (w *memoWriter) full() bool { return len(w.buf) >= memoBlock }

// write writes the block, if there is one.
func (w *memoWriter) write() error {
	if len(w.buf) == 0 {
		return nil
	}
	binary.LittleEndian.PutUint32(w.buf, memoMagic)
	binary.LittleEndian.PutUint32(w.buf[8:], uint32(len(w.buf)-blockHead))
	binary.LittleEndian.PutUint32(w.buf[4:], crc32.Checksum(w.buf[8:], castagnoli))
	_, err := w.file.WriteAt(w.buf, w.at)
	w.at += int64(len(w.buf))
	w.buf = w.buf[:0]
	return err
}
