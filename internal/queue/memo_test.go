package queue

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"posthaste/internal/mail"
)

// memoQueue is a deferred queue of small files that have settled.
func memoQueue(t *testing.T, count int) (q *Queue, root string, now *time.Time) {
	t.Helper()
	root = t.TempDir()
	at := time.Now().Add(time.Hour) // also of what the test changes later
	q, err := New(Options{FS: DirFS(root), Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Setup(); err != nil {
		t.Fatal(err)
	}
	for i := range count {
		if err := os.WriteFile(filepath.Join(root, "deferred", fmt.Sprintf("A%05d", i)), []byte{'x'}, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return q, root, &at
}

// read goes through the queue once, keeping what is not kept, and returns how
// many messages were.
func read(t *testing.T, q *Queue, keep bool) (hits int) {
	t.Helper()
	var m *Memo
	var f *Folder
	for b, err := range q.Batches(Deferred, 100) {
		if err != nil {
			t.Fatal(err)
		}
		if m == nil {
			f, m = b.Folder, b.Folder.Memo(keep)
		}
		r := m.Reader()
		for _, id := range b.IDs {
			st, err := b.Folder.Stat(id)
			if err != nil {
				t.Fatal(err)
			}
			want := []byte("text of " + string(id))
			if got := r.Get(id, st); got == nil {
				m.Put(id, st, want)
			} else if hits++; !bytes.Equal(got, want) {
				t.Fatalf("%s: %q", id, got)
			}
		}
		r.Done()
	}
	if m != nil {
		m.Close(true)
		f.Close()
	}
	return hits
}

func deferredFile(root string, i int) string {
	return filepath.Join(root, "deferred", fmt.Sprintf("A%05d", i))
}

// What changed in any way counts no more, everything else does.
func TestMemo(t *testing.T) {
	const count = 3000
	q, root, _ := memoQueue(t, count)
	if n := read(t, q, true); n != 0 {
		t.Fatalf("%d of an empty memo", n)
	}
	if n := read(t, q, true); n != count {
		t.Fatalf("%d of %d", n, count)
	}
	for i, change := range []func(path string) error{
		func(p string) error { return os.Chmod(p, 0o710) }, // postsuper -e
		func(p string) error { return os.Chtimes(p, time.Time{}, time.Now().Add(time.Hour)) },
		func(p string) error { return os.WriteFile(p, []byte("y"), 0o700) }, // a mark
		func(p string) error { os.Rename(p, root+"/active/x"); return os.Rename(root+"/active/x", p) },
		func(p string) error { // another file of that name
			os.WriteFile(p+"n", []byte("z"), 0o700)
			return os.Rename(p+"n", p)
		},
	} {
		if err := change(deferredFile(root, i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := read(t, q, false); n != count-5 {
		t.Errorf("%d of %d with 5 changed", n, count)
	}
}

// What has just changed is not kept: a second change in the same tick of the
// clock could not be seen.
func TestMemoIsSettled(t *testing.T) {
	begun := time.Now()
	q, _, now := memoQueue(t, 300)
	*now = begun.Add(time.Second)
	read(t, q, true)
	if n := read(t, q, true); n != 0 {
		t.Errorf("%d messages were kept at once", n)
	}
}

// A short queue leaves no file, and what a long one left goes when it is short.
func TestMemoOfShortQueue(t *testing.T) {
	q, root, _ := memoQueue(t, memoLeast-1)
	read(t, q, true)
	if _, err := os.Stat(root + "/listing/deferred"); err == nil {
		t.Error("a memo was written")
	}
	q, root, _ = memoQueue(t, 2000)
	read(t, q, true)
	for i := range 1950 {
		os.Remove(deferredFile(root, i))
	}
	if n := read(t, q, true); n != 50 {
		t.Errorf("%d of 50", n)
	}
	if _, err := os.Stat(root + "/listing/deferred"); err == nil {
		t.Error("the memo of 2000 messages is left for 50")
	}
}

// The file does not grow with the changes, and nothing is lost when it is
// written anew.
func TestMemoIsCompacted(t *testing.T) {
	const count = 1000
	q, root, _ := memoQueue(t, count)
	var most int64
	for round := range 8 {
		read(t, q, true)
		if n := read(t, q, false); n != count {
			t.Fatalf("round %d: %d of %d", round, n, count)
		}
		st, err := os.Stat(root + "/listing/deferred")
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			most = 4 * st.Size()
		} else if st.Size() > most {
			t.Fatalf("round %d: %d bytes, once it had %d", round, st.Size(), most/4)
		}
		for i := range 400 {
			os.Chmod(deferredFile(root, (round*400+i)%count), 0o700) // a new time of change
		}
	}
}

// A memo that is cut off or damaged anywhere, as a crash leaves it, never gives a
// wrong text, and the next listing mends it.
func TestMemoDamaged(t *testing.T) {
	const count = 300
	q, root, _ := memoQueue(t, count)
	path := root + "/listing/deferred"
	read(t, q, true)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 1 + len(whole)/29 {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x40
		for _, text := range [][]byte{whole[:at], damaged, append(whole[:at:at], make([]byte, 5000)...)} {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			read(t, q, true) // fails on a wrong text
			if n := read(t, q, false); n != count {
				t.Fatalf("damaged at %d: %d of %d after the next listing", at, n, count)
			}
		}
	}
}

// Two listings at a time do not spoil the file.
func TestMemoTwoListings(t *testing.T) {
	const count = 600
	q, _, _ := memoQueue(t, count)
	var folders []*Folder
	var memos []*Memo
	for range 2 {
		for b := range q.Batches(Deferred, count) {
			folders, memos = append(folders, b.Folder), append(memos, b.Folder.Memo(true))
		}
	}
	for b := range q.Batches(Deferred, count) {
		for _, id := range b.IDs {
			for i, m := range memos {
				st, _ := folders[i].Stat(id)
				m.Put(id, st, []byte("text of "+string(id)))
			}
		}
	}
	for i, m := range memos {
		m.Close(true)
		folders[i].Close()
	}
	if n := read(t, q, false); n != count {
		t.Errorf("%d of %d", n, count)
	}
}

// Batches are what List yields, also from directories of any depth and from
// files that lie in the wrong one.
func TestBatches(t *testing.T) {
	for depth := range 3 {
		q, err := New(Options{FS: DirFS(t.TempDir()), HashNames: []string{"deferred", "defer"}, HashDepth: depth})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Setup(); err != nil {
			t.Fatal(err)
		}
		log := LogEntry{Recipient: mail.Recipient{Address: "r@c.test"}, Status: mail.Defer("4.4.1", "no answer")}
		for i := range 50 {
			id := mail.QueueID(fmt.Sprintf("%05X%d", i*20000, i))
			path := q.Path(Deferred, id)
			if i == 7 {
				path = "deferred/" + string(id) // as without hash directories
			}
			f, err := q.fs.Create(path, 0o700)
			if err != nil {
				if err := q.makeHash(path); err != nil {
					t.Fatal(err)
				}
				if f, err = q.fs.Create(path, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			f.Close()
			if err := q.AppendLog(DeferLog, id, log); err != nil {
				t.Fatal(err)
			}
		}
		listed := map[mail.QueueID]bool{}
		for id, err := range q.List(Deferred) {
			listed[id] = err == nil
		}
		folders := map[*Folder]bool{}
		n := 0
		for b, err := range q.Batches(Deferred, 3) {
			if err != nil || len(b.IDs) > 3 {
				t.Fatal(err, b.IDs)
			}
			folders[b.Folder] = true
			for _, id := range b.IDs {
				n++
				if _, err := b.Folder.Stat(id); err != nil || !listed[id] {
					t.Error(id, err)
				}
				if entries, err := b.Folder.DeferLog(id); err != nil || len(entries) != 1 {
					t.Errorf("depth %d: log of %s: %v %v", depth, id, entries, err)
				}
			}
		}
		if n != 50 || len(listed) != 50 {
			t.Errorf("depth %d: %d, %d", depth, n, len(listed))
		}
		for f := range folders {
			f.Close()
		}
	}
}
