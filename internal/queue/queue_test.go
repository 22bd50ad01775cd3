package queue

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

func newQueue(t *testing.T) (*Queue, string) {
	t.Helper()
	root := t.TempDir()
	q, err := New(Options{FS: DirFS(root), HashNames: []string{"deferred", "defer"}, HashDepth: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Setup(); err != nil {
		t.Fatal(err)
	}
	return q, root
}

// send commits a message with the given recipients and a two-line body.
func send(t *testing.T, q *Queue, recipients ...mail.Address) mail.QueueID {
	t.Helper()
	d, err := q.Create(Incoming)
	if err != nil {
		t.Fatal(err)
	}
	writeMessage(d.Records(), recipients...)
	if err := d.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	return d.ID()
}

func writeMessage(w *record.Writer, recipients ...mail.Address) {
	now := time.Unix(1700000000, 250000000)
	w.Envelope(&mail.Envelope{Sender: "a@b.test", Arrival: now, Created: now})
	for _, r := range recipients {
		w.Recipient(mail.Recipient{Address: r, Original: r})
	}
	w.BeginContent()
	w.Line([]byte("Subject: hi"))
	w.Line(nil)
	w.Line([]byte("hello"))
	w.BeginExtracted()
}

func TestLifeOfAMessage(t *testing.T) {
	q, root := newQueue(t)
	id := send(t, q, "r1@c.test", "r2@c.test")
	m, err := q.Claim(Incoming, id, ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Info; got.Sender != "a@b.test" || len(got.Entries) != 2 || got.Entries[1].Address != "r2@c.test" {
		t.Fatalf("info: %+v", got)
	}
	if _, err := q.Claim(Active, id, ClaimOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second claim: %v", err)
	}
	if err := m.MarkDone(m.Info.Entries[0]); err != nil {
		t.Fatal(err)
	}
	if err := m.Defer(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Claim(Deferred, id, ClaimOptions{}); !errors.Is(err, ErrFuture) {
		t.Errorf("claim before its time: %v", err)
	}
	m, err = q.Claim(Deferred, id, ClaimOptions{Any: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Info.Entries) != 1 || m.Info.Entries[0].Address != "r2@c.test" {
		t.Errorf("after the mark: %+v", m.Info.Entries)
	}
	if err := m.Remove(); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(root, "*", "*"))
	for _, f := range left {
		if st, _ := os.Stat(f); st.Mode().IsRegular() {
			t.Errorf("left behind: %s", f)
		}
	}
}

func TestContentLines(t *testing.T) {
	q, _ := newQueue(t)
	id := send(t, q, "r@c.test")
	m, err := q.Claim(Incoming, id, ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if !m.Content().Summed {
		t.Error("no digest")
	}
	r := m.Content().Lines()
	defer r.Close()
	want := []string{"Subject: hi", "", "hello"}
	for i := 0; ; i++ {
		line, complete, err := r.Next()
		if errors.Is(err, io.EOF) {
			if i != len(want) {
				t.Fatalf("%d lines", i)
			}
			return
		}
		if err != nil || !complete || i >= len(want) || string(line) != want[i] {
			t.Fatalf("line %d: %q %v %v", i, line, complete, err)
		}
	}
}

func TestUnfinishedFilesAreIgnored(t *testing.T) {
	q, _ := newQueue(t)
	d, err := q.Create(Incoming)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Claim(Incoming, d.ID(), ClaimOptions{}); !errors.Is(err, ErrNotReady) {
		t.Errorf("claim of a file being written: %v", err)
	}
	d.Discard()
	if _, err := q.Claim(Incoming, d.ID(), ClaimOptions{}); !errors.Is(err, ErrGone) {
		t.Errorf("claim of a discarded file: %v", err)
	}
}

func TestDamagedFileIsSetAside(t *testing.T) {
	q, root := newQueue(t)
	id := send(t, q, "r@c.test")
	path := filepath.Join(root, q.Path(Incoming, id))
	if err := os.Truncate(path, 150); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Claim(Incoming, id, ClaimOptions{}); !errors.Is(err, ErrCorrupt) || !errors.Is(err, record.ErrDamaged) {
		t.Fatalf("claim: %v", err)
	}
	if _, err := q.Stat(Corrupt, id); err != nil {
		t.Errorf("not in corrupt: %v", err)
	}
}

// A flipped byte in the content is found by whoever reads it to the end.
func TestBodyDamageIsFoundAtTheEnd(t *testing.T) {
	q, root := newQueue(t)
	id := send(t, q, "r@c.test")
	path := filepath.Join(root, q.Path(Incoming, id))
	b, _ := os.ReadFile(path)
	for i := range b {
		if string(b[i:i+5]) == "hello" {
			b[i] ^= 1
			break
		}
	}
	os.WriteFile(path, b, 0o700)
	m, err := q.Claim(Incoming, id, ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := m.Content().Lines()
	defer r.Close()
	for {
		_, _, err = r.Next()
		if err != nil {
			break
		}
	}
	if !errors.Is(err, record.ErrDamaged) {
		t.Errorf("end of damaged content: %v", err)
	}
	if err := m.SetAside(err); !errors.Is(err, ErrCorrupt) {
		t.Errorf("set aside: %v", err)
	}
}

func TestLogsRoundTrip(t *testing.T) {
	q, _ := newQueue(t)
	id := send(t, q, "r@c.test")
	want := LogEntry{
		Recipient: mail.Recipient{Address: `a b@c.test`, Original: "o@c.test", DSNOriginal: "rfc822;o@c.test", Notify: 4},
		Offset:    321,
		Status: mail.Status{Action: mail.Bounced, Code: "5.1.1", Reason: "unknown user", DiagType: "smtp",
			DiagText: "550 5.1.1 no", MTAType: "dns", MTAName: "mx.c.test"},
	}
	hostile := want
	hostile.Status.Reason = "x\n\nrecipient=root@evil.test\n"
	if err := q.AppendLog(BounceLog, id, want, hostile); err != nil {
		t.Fatal(err)
	}
	got, err := q.ReadLog(BounceLog, id)
	if err != nil || len(got) != 2 {
		t.Fatalf("%v %v", got, err)
	}
	if !cmp.Equal(got[0], want) {
		t.Errorf("got  %+v\nwant %+v", got[0], want)
	}
	if got[1].Recipient.Address != want.Recipient.Address {
		t.Errorf("a reason became a record: %+v", got[1])
	}
	if err := q.RemoveLog(BounceLog, id); err != nil {
		t.Fatal(err)
	}
	if got, err := q.ReadLog(BounceLog, id); len(got) != 0 || err != nil {
		t.Errorf("after removal: %v %v", got, err)
	}
}

// A time stamp further ahead than any back-off is left from a clock that jumped,
// and the message is due (R8). In incoming none counts.
func TestTimeStampsInTheFuture(t *testing.T) {
	root := t.TempDir()
	for ahead, want := range map[time.Duration]error{
		0: nil, 30 * time.Minute: ErrFuture, 10 * 365 * 24 * time.Hour: nil, -10 * 365 * 24 * time.Hour: nil,
	} {
		q, err := New(Options{FS: DirFS(root), MaxDelay: time.Hour})
		if err == nil {
			err = q.Setup()
		}
		if err != nil {
			t.Fatal(err)
		}
		for place, want := range map[Name]error{Incoming: nil, Deferred: want} {
			id := send(t, q, "r@c.test")
			if err := q.rename(q.Path(Incoming, id), q.Path(place, id)); err != nil {
				t.Fatal(err)
			}
			at := time.Now().Add(ahead)
			if err := os.Chtimes(filepath.Join(root, q.Path(place, id)), at, at); err != nil {
				t.Fatal(err)
			}
			m, err := q.Claim(place, id, ClaimOptions{})
			if !errors.Is(err, want) {
				t.Errorf("%s ahead in %s: %v", ahead, place, err)
			}
			if err == nil {
				m.Close()
			}
		}
	}
}

// The clock is set back: new mail is taken at once, and no attempt is further away
// than the longest back-off, with a minute of grace.
func TestClockIsSetBack(t *testing.T) {
	const longest = 4000 * time.Second
	for _, back := range []time.Duration{2 * time.Second, time.Minute, time.Hour, 24 * time.Hour} {
		for _, wait := range []time.Duration{300 * time.Second, longest} {
			var now time.Time
			q, err := New(Options{FS: DirFS(t.TempDir()), MaxDelay: longest, Now: func() time.Time { return now }})
			if err == nil {
				err = q.Setup()
			}
			if err != nil {
				t.Fatal(err)
			}
			id := send(t, q, "r@c.test")
			now = time.Now().Add(-back)
			m, err := q.Claim(Incoming, id, ClaimOptions{})
			if err != nil {
				t.Fatalf("new mail, %s back: %v", back, err)
			}
			if err := m.Defer(now.Add(back + wait)); err != nil { // as before the clock was set
				t.Fatal(err)
			}
			for begin := now; ; now = now.Add(time.Minute) {
				if m, err = q.Claim(Deferred, id, ClaimOptions{}); err == nil {
					m.Close()
					break
				}
				if now.Sub(begin) > longest+time.Minute {
					t.Errorf("deferred by %s, then %s back: still not due after %s", wait, back, now.Sub(begin))
					break
				}
			}
		}
	}
}

// A move to where the message is leaves it there.
func TestMoveToTheSamePlace(t *testing.T) {
	q, _ := newQueue(t)
	id := send(t, q, "r@c.test")
	if err := q.Move(id, Incoming, Incoming); err != nil {
		t.Error(err)
	}
	if m, err := q.Claim(Incoming, id, ClaimOptions{}); err != nil {
		t.Error(err)
	} else {
		m.Close()
	}
}

// A file that cannot be read, or is none, keeps nobody from putting back the rest.
func TestRecoverAmongForeignFiles(t *testing.T) {
	q, root := newQueue(t)
	m, err := q.Claim(Incoming, send(t, q, "r@c.test"), ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	if err := os.Symlink("/etc/passwd", filepath.Join(root, "active", "4bcdfghjklmnLNK")); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 { // root may read it
		if err := os.WriteFile(filepath.Join(root, "active", "4bcdfghjklmnBCD"), nil, 0o300); err != nil {
			t.Fatal(err)
		}
	}
	if moved, _, err := q.Recover(); moved != 1 || err != nil {
		t.Errorf("moved %d, %v", moved, err)
	}
}

func TestRecoverAfterACrash(t *testing.T) {
	q, _ := newQueue(t)
	dead, alive := send(t, q, "r@c.test"), send(t, q, "r@c.test")
	m, err := q.Claim(Incoming, dead, ClaimOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m.Close() // as the kernel does for a killed process
	if m, err = q.Claim(Incoming, alive, ClaimOptions{}); err != nil {
		t.Fatal(err)
	}
	moved, busy, err := q.Recover()
	if moved != 1 || busy != 1 || err != nil {
		t.Errorf("moved %d busy %d %v", moved, busy, err)
	}
	m.Close()
}

func TestQueueIDsAreNeverReused(t *testing.T) {
	fixed := time.Unix(1700000000, 0)
	seen := make(map[mail.QueueID]bool)
	for range 3 { // three processes with the same stopped clock
		ids, err := newIDMaker()
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			id := ids.next(fixed)
			if seen[id] || !id.Valid() {
				t.Fatalf("id %s twice or bad", id)
			}
			if _, _, ok := longParts(string(id)); !ok {
				t.Fatalf("%s is no long id", id)
			}
			seen[id] = true
		}
	}
}

// newShortQueue makes a queue with Postfix's classic queue ids.
func newShortQueue(t *testing.T) (*Queue, string) {
	t.Helper()
	root := t.TempDir()
	q, err := New(Options{FS: DirFS(root), ShortIDs: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Setup(); err != nil {
		t.Fatal(err)
	}
	return q, root
}

func TestShortIDs(t *testing.T) {
	q, _ := newShortQueue(t)
	id := send(t, q, "r@c.test")
	if _, _, long := longParts(string(id)); long || !id.Valid() {
		t.Errorf("short id %q", id)
	}
	if m, err := q.Claim(Incoming, id, ClaimOptions{}); err != nil {
		t.Error(err)
	} else {
		m.Close()
	}
}
