package queue

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// withJournal opens the queue in root as a process that commits by the journal.
func withJournal(t *testing.T, root string) *Queue {
	t.Helper()
	q, err := New(Options{FS: DirFS(root), HashNames: []string{"deferred", "defer"}, HashDepth: 1, Journal: WholeJournal})
	if err == nil {
		err = q.Setup()
	}
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// withoutIncoming opens a queue as it lies.
func withoutIncoming(t *testing.T, root string) *Queue {
	t.Helper()
	os.WriteFile(filepath.Join(root, "incoming"), nil, 0o600) // no directory, so that none is made
	q, err := New(Options{FS: DirFS(root), HashNames: []string{"deferred", "defer"}, HashDepth: 1, Journal: WholeJournal})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// die lets go of a queue's locks as the end of its process does.
func die(q *Queue) {
	if q.journal.cur != nil {
		q.journal.cur.file.Close()
	}
	for _, n := range q.journal.notes {
		n.file.Close()
	}
}

func journalFiles(t *testing.T, root string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A real file system: what a power cut did to queue files is mended from the
// journal of a process that died.
func TestReplay(t *testing.T) {
	root := t.TempDir()
	q := withJournal(t, root)
	var ids []mail.QueueID
	for range 5 {
		ids = append(ids, send(t, q, "r1@c.test", "r2@c.test"))
	}
	path := func(n Name, i int) string { return filepath.Join(root, q.Path(n, ids[i])) }
	whole, err := os.ReadFile(path(Incoming, 0))
	if err != nil {
		t.Fatal(err)
	}
	m, err := q.Claim(Incoming, ids[3], ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	marked := m.Info.Entries[1]
	if err := m.MarkDone(marked); err != nil {
		t.Fatal(err)
	}
	m.Close()
	last, err := q.Claim(Incoming, ids[4], ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	body, _ := os.ReadFile(path(Active, 4))
	if err := last.Remove(); err != nil {
		t.Fatal(err)
	}
	die(q)
	// What the power cut left: no file, an empty one that is not ready, zeros,
	// a lost mark, and a removal that did not reach the disk.
	os.Remove(path(Incoming, 0))
	os.Truncate(path(Incoming, 1), 0)
	os.Chmod(path(Incoming, 1), 0o600)
	os.WriteFile(path(Incoming, 2), make([]byte, len(whole)), 0o700)
	os.WriteFile(path(Active, 3), bytes.Replace(whole, []byte(ids[0]), []byte(ids[3]), -1), 0o700)
	os.WriteFile(path(Active, 4), body, 0o700)

	next := withJournal(t, root)
	if _, _, err := next.Recover(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		got, err := os.ReadFile(path(Incoming, i))
		if err != nil || !bytes.Equal(got, whole) {
			t.Errorf("message %d: %v\n%q\n%q", i, err, got, whole)
		}
		if st, err := next.Stat(Incoming, ids[i]); err != nil || !st.Ready() {
			t.Errorf("message %d: %v %v", i, st.Mode, err)
		}
	}
	c, err := next.Claim(Incoming, ids[3], ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Info.Entries) != 1 || c.Info.Entries[0].Address != "r1@c.test" {
		t.Errorf("the mark was lost: %v", c.Info.Entries)
	}
	c.Close()
	if _, _, err := next.Find(ids[4]); !errors.Is(err, ErrGone) {
		t.Errorf("a removed message came back: %v", err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	if names := journalFiles(t, root); len(names) > 0 {
		t.Errorf("left in the journal: %q", names)
	}
}

// A message that cannot be written again, as on a full disk, keeps nobody from
// starting, and is there as soon as it can be.
func TestReplayThatFails(t *testing.T) {
	root := t.TempDir()
	q := withJournal(t, root)
	id := send(t, q, "r1@c.test")
	die(q)
	path := filepath.Join(root, q.Path(Incoming, id))
	os.Remove(path)
	os.Remove(filepath.Join(root, "incoming")) // nothing can be made there
	next := withoutIncoming(t, root)
	if _, _, err := next.Recover(); err != nil {
		t.Fatal(err)
	}
	if next.journal.failure() == nil {
		t.Error("nobody is told")
	}
	os.Remove(filepath.Join(root, "incoming"))
	if err := os.Mkdir(filepath.Join(root, "incoming"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := next.Sweep(); err != nil {
		t.Fatal(err)
	}
	if st, err := next.Stat(Incoming, id); err != nil || !st.Ready() {
		t.Errorf("%v %v", st.Mode, err)
	}
}

// A journal in use is left alone, and so are the messages in it.
func TestSweepLeavesTheLiving(t *testing.T) {
	root := t.TempDir()
	q, manager := withJournal(t, root), withJournal(t, root)
	id := send(t, q, "r1@c.test")
	if err := os.Remove(filepath.Join(root, q.Path(Incoming, id))); err != nil {
		t.Fatal(err)
	}
	if err := manager.Sweep(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := manager.Find(id); !errors.Is(err, ErrGone) {
		t.Errorf("the segment of a living process was replayed: %v", err)
	}
}

// Many commits at a time, with checkpoints between them, lose nothing, and the
// file of a checkpointed segment is used again.
func TestJournalUnderLoad(t *testing.T) {
	root := t.TempDir()
	q := withJournal(t, root)
	var mu sync.Mutex
	var ids []mail.QueueID
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				id := send(t, q, "r1@c.test")
				mu.Lock()
				ids = append(ids, id)
				mu.Unlock()
			}
		})
	}
	for range 5 {
		if err := q.Tick(true); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if len(q.journal.spares) == 0 && q.journal.cur == nil {
		t.Error("no file was kept")
	}
	die(q)
	next := withJournal(t, root)
	if _, _, err := next.Recover(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		m, err := next.Open(Incoming, id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := record.Read(m, 0); err != nil || !m.Stat.Ready() {
			t.Errorf("%s: %v %v", id, m.Stat.Mode, err)
		}
		m.Close()
	}
}

// fullFS is a file system with little room left.
type fullFS struct{ FS }

func (fullFS) Room() (int64, error) { return spareRoom - 1, nil }

// No spare file takes the room that messages need.
func TestNoSpareOnASmallDisk(t *testing.T) {
	root := t.TempDir()
	q, err := New(Options{FS: fullFS{DirFS(root)}, Journal: WholeJournal})
	if err == nil {
		err = q.Setup()
	}
	if err == nil {
		err = q.journal.prepare()
	}
	if err != nil {
		t.Fatal(err)
	}
	send(t, q, "r1@c.test")
	if err := q.journal.checkpoint(); err != nil {
		t.Fatal(err)
	}
	if names := journalFiles(t, root); len(names) > 0 {
		t.Errorf("the journal has %v", names)
	}
}

// A command that deletes notes it while the journal is in use, and only then.
func TestNotesOfCommands(t *testing.T) {
	root := t.TempDir()
	command := func() *Queue {
		q, err := New(Options{FS: DirFS(root), Journal: NotesOnly})
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	q := withJournal(t, root)
	if command().journal != nil {
		t.Error("notes without a journal in use")
	}
	id := send(t, q, "r1@c.test")
	c := command()
	if _, err := c.Act(ActDelete, id, []Name{Incoming}); err != nil {
		t.Fatal(err)
	}
	if err := c.Sync(); err != nil {
		t.Fatal(err)
	}
	die(q)
	next := withJournal(t, root)
	if _, _, err := next.Recover(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := next.Find(id); !errors.Is(err, ErrGone) {
		t.Errorf("a deleted message came back: %v", err)
	}
}

// Notes are durable after syncNotes also when their segment waits for a
// checkpoint; of one that failed it says so.
func TestNotesBeforeACheckpoint(t *testing.T) {
	j := withJournal(t, t.TempDir()).journal
	j.note(frameMark, "4jZN5X692bzqncmY8K", 7)
	j.mu.Lock()
	s := j.cur
	j.leave()
	j.mu.Unlock()
	if err := j.syncNotes(); err != nil || s.durable != s.size || s.size == 0 {
		t.Errorf("%d of %d bytes are durable: %v", s.durable, s.size, err)
	}
	j.note(frameMark, "4jZN5X692bzqncmY8K", 8)
	j.abandon(j.cur, errors.New("disk"))
	if err := j.syncNotes(); err == nil {
		t.Error("notes in a segment that failed count as durable")
	}
	if !j.due() {
		t.Error("no checkpoint is due")
	}
	if err := j.checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := j.syncNotes(); err != nil {
		t.Errorf("after the checkpoint: %v", err)
	}
}

// Frames written in the same file before are not taken for the segment's own.
func TestFramesOfAnEarlierSegment(t *testing.T) {
	first := frame{kind: frameGone, id: "4jZN5X692bzqncmY8K"}
	second := frame{kind: frameMessage, place: Hold, id: "4jZN5X692bzqncmY8L", body: []byte("x")}
	old, _ := first.appendTo(nil, salt("journal/old"))
	old, _ = first.appendTo(old, salt("journal/old"))
	data, err := second.appendTo(nil, salt("journal/new"))
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, old[len(data):]...)
	r := strings.NewReader(string(data))
	got, next, err := readFrame(r, salt("journal/new"+notesSuffix), 0)
	if err != nil || got.place != Hold || got.id != second.id || string(got.body) != "x" {
		t.Fatalf("%+v %v", got, err)
	}
	if _, _, err := readFrame(r, salt("journal/new"), next); !errors.Is(err, errFrameEnd) {
		t.Errorf("an old frame was read: %v", err)
	}
}

// A segment that was begun before there was a spare file gives way to it.
func TestSegmentGivesWayToSpareFile(t *testing.T) {
	q := withJournal(t, t.TempDir())
	if !q.journal.roomy() {
		t.Skip("SKIPPED: too little room")
	}
	send(t, q, "r1@c.test")
	first := q.journal.cur
	if err := q.journal.prepare(); err != nil {
		t.Fatal(err)
	}
	send(t, q, "r2@c.test")
	if s := q.journal.cur; first == nil || s == nil || s == first || s.blocks != segmentSize {
		t.Errorf("the second message is in %+v", s)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}

// While a segment is checkpointed the next one has blocks as well, and no more
// files are made than that takes.
func TestTwoFiles(t *testing.T) {
	root := t.TempDir()
	q := withJournal(t, root)
	if !q.journal.roomy() {
		t.Skip("SKIPPED: too little room")
	}
	prepare := func() {
		t.Helper()
		if err := q.journal.prepare(); err != nil {
			t.Fatal(err)
		}
	}
	prepare()
	prepare()
	if names := journalFiles(t, root); len(names) != 1 {
		t.Errorf("without mail the journal has %v", names)
	}
	for range 3 {
		send(t, q, "r1@c.test")
		prepare()
		q.journal.mu.Lock()
		q.journal.leave() // as a checkpoint begins
		q.journal.mu.Unlock()
		prepare()
		send(t, q, "r2@c.test")
		if s := q.journal.cur; s.blocks != segmentSize {
			t.Errorf("the next segment has blocks for %d bytes", s.blocks)
		}
		if names := journalFiles(t, root); len(names) != 2 {
			t.Errorf("the journal has %v", names)
		}
		if err := q.journal.checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	prepare()
	if names := journalFiles(t, root); len(names) != 2 {
		t.Errorf("at rest the journal has %v", names)
	}
}

// noSpareFS refuses the blocks of a spare file.
type noSpareFS struct{ FS }

func (n noSpareFS) Create(name string, mode fs.FileMode) (File, error) {
	if strings.HasSuffix(name, spareSuffix) {
		return nil, unix.EDQUOT
	}
	return n.FS.Create(name, mode)
}

// Where a spare file is refused, that is said once, and mail goes on without.
func TestSpareRefused(t *testing.T) {
	root := t.TempDir()
	q, err := New(Options{FS: noSpareFS{DirFS(root)}, Journal: WholeJournal})
	if err == nil {
		err = q.Setup()
	}
	if err != nil {
		t.Fatal(err)
	}
	if !q.journal.roomy() {
		t.Skip("SKIPPED: too little room")
	}
	if err := q.journal.prepare(); !errors.Is(err, unix.EDQUOT) {
		t.Errorf("refused: %v", err)
	}
	if err := q.journal.prepare(); err != nil {
		t.Errorf("said twice: %v", err)
	}
	send(t, q, "r1@c.test")
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}
