package queue

import (
	"io/fs"
	"strings"
	"testing"
)

// A process that commits few messages from now on keeps no room for them.
func TestSlim(t *testing.T) {
	root := t.TempDir()
	q := withJournal(t, root)
	if !q.journal.roomy() {
		t.Skip("SKIPPED: too little room")
	}
	if err := q.journal.prepare(); err != nil {
		t.Fatal(err)
	}
	send(t, q, "r1@c.test") // takes the spare file into use
	if err := q.journal.prepare(); err != nil {
		t.Fatal(err)
	}
	if names := journalFiles(t, root); len(names) != 2 {
		t.Fatalf("the journal has %v, want a segment and a spare file", names)
	}
	q.Slim()
	if names := journalFiles(t, root); len(names) != 1 {
		t.Errorf("the journal has %v, want the segment in use", names)
	}
	if err := q.journal.checkpoint(); err != nil {
		t.Fatal(err)
	}
	if names := journalFiles(t, root); len(names) > 0 {
		t.Errorf("after the checkpoint the journal has %v", names)
	}
	send(t, q, "r2@c.test")
	if s := q.journal.cur; s == nil || s.blocks != 0 {
		t.Errorf("a later message is in %+v", s)
	}
	if err := q.journal.prepare(); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if names := journalFiles(t, root); len(names) > 0 {
		t.Errorf("in the end the journal has %v", names)
	}
}

// A spare file that is being made meanwhile is not kept.
func TestSlimWhileASpareIsMade(t *testing.T) {
	root := t.TempDir()
	q := withJournal(t, root)
	f, err := q.journal.createLocked("journal/x" + spareSuffix)
	if err != nil {
		t.Fatal(err)
	}
	q.Slim()
	q.journal.keepSpare(&segment{name: "journal/x" + spareSuffix, file: f, blocks: segmentSize})
	if names := journalFiles(t, root); len(names) > 0 || len(q.journal.spares) > 0 {
		t.Errorf("the journal has %v", names)
	}
}

// sweptFS lets the sweep of another process come between the making of a file in
// the journal and its lock.
type sweptFS struct {
	FS
	left *int // files to be swept
}

func (s sweptFS) Create(name string, mode fs.FileMode) (File, error) {
	f, err := s.FS.Create(name, mode)
	if err == nil && strings.HasPrefix(name, string(Journal)+"/") && *s.left > 0 {
		*s.left--
		err = s.FS.Remove(name)
	}
	return f, err
}

// A file that was swept away before it was locked is made once more.
func TestFileSweptBeforeItIsLocked(t *testing.T) {
	root, left := t.TempDir(), 0
	q, err := New(Options{FS: sweptFS{DirFS(root), &left}, Journal: WholeJournal})
	if err == nil {
		err = q.Setup()
	}
	if err != nil {
		t.Fatal(err)
	}
	left = 1
	if err := q.journal.prepare(); err != nil || left > 0 {
		t.Fatalf("%d files were not swept: %v", left, err)
	}
	send(t, q, "r1@c.test")
	if s := q.journal.cur; s == nil {
		t.Error("the spare file could not be used")
	}
	left = 1000
	if _, err := q.journal.createLocked("journal/x" + newSuffix); err == nil {
		t.Error("a file that is always swept away was made")
	}
}
