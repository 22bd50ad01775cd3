package queue

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// sweep makes the queue files good from segments whose writer has died, by
// itself or with the whole machine, and retires them. One process does it.
func (q *Queue) sweep() error {
	j := q.journal
	j.keep.Lock()
	defer j.keep.Unlock()
	var orphans []*segment
	defer func() {
		for _, s := range orphans {
			s.file.Close()
		}
	}()
	var live []string // segments of others, and all notes
	q.dropLeftovers()
	err := j.segments(func(name string) {
		s := q.adopt(name)
		if s != nil {
			orphans = append(orphans, s)
		} else {
			live = append(live, name)
		}
	})
	if err != nil || len(orphans) == 0 {
		return err
	}
	if err := q.replay(orphans, live); err != nil {
		return err
	}
	if err := j.all.SyncAll(); err != nil {
		return err
	}
	for _, s := range orphans {
		if strings.HasSuffix(s.name, notesSuffix) {
			j.notes = append(j.notes, notesFile{name: s.name, file: s.file})
		} else {
			j.retire(s.name, s.file, s.notes)
		}
	}
	orphans = nil
	return j.dropNotes()
}

// dropLeftovers removes what writers that died had not put to use.
func (q *Queue) dropLeftovers() {
	q.fs.ReadDir(string(Journal), func(e DirEntry) bool {
		if isUnused(e.Name) {
			if s := q.adopt(string(Journal) + "/" + e.Name); s != nil {
				q.fs.Remove(s.name)
				s.file.Close()
			}
		}
		return true
	})
}

// adopt locks a segment that no living process holds; nil when there is one, or
// when it ended meanwhile.
func (q *Queue) adopt(name string) *segment {
	f, err := q.fs.Open(name, true)
	if err != nil {
		return nil
	}
	st, err := f.Stat()
	if err == nil && st.Mode.IsRegular() {
		if ok, err := f.TryLock(); err == nil && ok {
			if now, err := q.fs.Lstat(name); err == nil && now.Inode == st.Inode {
				return &segment{name: name, file: f, size: st.Size}
			}
		}
	}
	f.Close()
	return nil
}

// history is what segments tell.
type history struct {
	messages map[mail.QueueID]*logged
	gone     map[mail.QueueID]bool
	marks    map[mail.QueueID][]int64
}

// logged is a message in a segment.
type logged struct {
	commit *place // nil: it was not committed
	pieces []place
}

// place is where a frame lies.
type place struct {
	file io.ReaderAt
	salt uint32
	at   int64
}

// read adds the frames of a segment to the history.
func (h *history) read(s *segment) error {
	salt, checkpointed := salt(s.name), strings.HasSuffix(s.name, notesSuffix)
	for at := int64(0); ; {
		f, next, err := readFrame(s.file, salt, at)
		if errors.Is(err, errFrameEnd) {
			return nil
		}
		if err != nil {
			return err
		}
		switch f.kind {
		case frameMessage, framePiece:
			if checkpointed {
				break
			}
			m := h.messages[f.id]
			if m == nil {
				m = &logged{}
				h.messages[f.id] = m
			}
			if f.kind == framePiece {
				m.pieces = append(m.pieces, place{s.file, salt, at})
			} else {
				m.commit = &place{s.file, salt, at}
			}
		case frameGone:
			h.gone[f.id] = true
			s.notes = true
		case frameMark:
			h.marks[f.id] = append(h.marks[f.id], f.offset)
			s.notes = true
		}
		at = next
	}
}

func newHistory() *history {
	return &history{messages: map[mail.QueueID]*logged{}, gone: map[mail.QueueID]bool{}, marks: map[mail.QueueID][]int64{}}
}

// replay brings every message of the orphaned segments into the state in which
// their notes, and those of the living, say it is.
func (q *Queue) replay(orphans []*segment, live []string) error {
	h := newHistory()
	for _, s := range orphans {
		if err := h.read(s); err != nil {
			return err
		}
	}
	maps.DeleteFunc(h.messages, func(_ mail.QueueID, m *logged) bool { return m.commit == nil })
	missing := map[mail.QueueID]bool{}
	for id := range h.messages {
		if !q.present(id) {
			missing[id] = true
		}
	}
	// Whoever removes a message notes it first: of one that is missing by now,
	// the note is there to be read.
	others := newHistory()
	for _, name := range live {
		if err := q.readNotes(others, name); err != nil {
			return err
		}
	}
	for id := range others.gone {
		delete(h.messages, id)
	}
	var failed error
	for id := range h.gone {
		delete(h.messages, id)
		failed = errors.Join(failed, q.forget(id))
	}
	for id, m := range h.messages {
		if missing[id] || q.present(id) {
			failed = errors.Join(failed, q.restore(id, m, slices.Concat(h.marks[id], others.marks[id])))
		}
		delete(h.marks, id)
	}
	for id, offsets := range h.marks {
		if !h.gone[id] && !others.gone[id] {
			failed = errors.Join(failed, q.remark(id, offsets))
		}
	}
	return failed
}

func (q *Queue) readNotes(h *history, name string) error {
	f, err := q.fs.Open(name, false)
	if errors.Is(err, fs.ErrNotExist) {
		// Renamed or removed meanwhile; as notes it is looked for once more.
		if strings.HasSuffix(name, notesSuffix) {
			return nil
		}
		return q.readNotes(h, name+notesSuffix)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return h.read(&segment{name: name, file: f})
}

// present tells whether a message lies in any queue. A move from one to another
// can hide it once, so it is looked for twice.
func (q *Queue) present(id mail.QueueID) bool {
	_, _, err := q.Find(id)
	if errors.Is(err, ErrGone) {
		_, _, err = q.Find(id)
	}
	return !errors.Is(err, ErrGone)
}

// forget removes a message whose removal had not reached the disk.
func (q *Queue) forget(id mail.QueueID) error {
	n, _, err := q.Find(id)
	if err == nil {
		err = q.fs.Remove(q.Path(n, id))
	}
	if errors.Is(err, ErrGone) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// remark marks recipients of a message that is older than the journal.
func (q *Queue) remark(id mail.QueueID, offsets []int64) error {
	n, _, err := q.Find(id)
	if err != nil {
		return nil // gone, with its marks
	}
	f, err := q.fs.Open(q.Path(n, id), true)
	if err != nil {
		return nil
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	for _, at := range offsets {
		if err := markAt(f, at); err != nil && !errors.Is(err, errNoRecipient) {
			return err
		}
	}
	return f.SetTimes(st.MTime) // the next attempt
}

// restore writes a message's file again, wherever it lies, with all marks that
// are known: its pages may be on the disk in part, or not at all.
func (q *Queue) restore(id mail.QueueID, m *logged, marks []int64) error {
	where, body, err := m.image()
	if err != nil {
		return err
	}
	info, err := record.Read(bytes.NewReader(body), 0)
	if err != nil {
		// The file was damaged when it was committed, or its first pieces were
		// checkpointed and it was synced by itself: Claim tells.
		return nil
	}
	n, st, err := q.Find(id)
	if errors.Is(err, ErrGone) {
		n, st = where, Stat{}
		f, err := q.createFile(q.Path(n, id))
		if err != nil {
			return err
		}
		f.Close()
	} else if err != nil {
		return err
	}
	f, err := q.fs.Open(q.Path(n, id), true)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := overlay(f, st.Size, body, info, marks); err != nil {
		return err
	}
	if !st.Ready() && st.Mode.Perm()&^0o600 == 0 {
		return f.Chmod(0o700)
	}
	return nil
}

// overlay writes body into the file but where its bytes may have been changed
// since: the letters of recipient records, and the time of the delay warning.
func overlay(f File, size int64, body []byte, info *record.Info, marks []int64) error {
	if size != int64(len(body)) { // nothing can have been changed in it
		for _, at := range marks {
			if at > 0 && at < int64(len(body)) && record.Type(body[at]) == record.Recipient {
				body[at] = byte(record.Done)
			}
		}
		if err := f.Truncate(0); err != nil {
			return err
		}
		_, err := f.WriteAt(body, 0)
		return err
	}
	from := int64(0)
	rewrite := func(until, resume int64) error {
		if until <= from {
			return nil
		}
		_, err := f.WriteAt(body[from:until], from)
		from = resume
		return err
	}
	if at := info.WarnOffset(); at > 0 && isWarned(f, at) {
		if err := rewrite(at, at+warnRecord); err != nil {
			return err
		}
	}
	for _, e := range info.Entries {
		if err := rewrite(e.Offset, e.Offset+1); err != nil {
			return err
		}
		if err := restoreLetter(f, e.Offset, slices.Contains(marks, e.Offset)); err != nil {
			return err
		}
	}
	return rewrite(int64(len(body)), int64(len(body)))
}

// restoreLetter makes the letter of a recipient record what it should be. A
// mark that is there stays: it may have been made just now.
func restoreLetter(f File, at int64, done bool) error {
	var have [1]byte
	if _, err := f.ReadAt(have[:], at); err != nil {
		return err
	}
	letter := record.Recipient
	if done {
		letter = record.Done
	}
	if have[0] == byte(record.Done) || have[0] == byte(letter) {
		return nil
	}
	_, err := f.WriteAt([]byte{byte(letter)}, at)
	return err
}
