package mailbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
)

// content makes a queue file and returns the content in it.
func content(t testing.TB, text string) record.Content {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "queue"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	w := record.NewWriter(f)
	w.Envelope(&mail.Envelope{Sender: "s@a.test", Arrival: time.Unix(1e9, 0)})
	w.Recipient(mail.Recipient{Address: "r@b.test"})
	w.BeginContent()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		for len(line) > 2048 {
			w.Fragment([]byte(line[:2048]))
			line = line[2048:]
		}
		w.Line([]byte(line))
	}
	w.BeginExtracted()
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	info, err := record.Read(f, 0)
	if err != nil {
		t.Fatal(err)
	}
	return info.Content
}

func message(t testing.TB, text string) *Message {
	return &Message{Sender: "s@a.test", Original: "o@b.test", Delivered: "r@b.test", Arrived: time.Unix(1e9, 0), Content: content(t, text)}
}

var testOptions = Options{Locks: []Lock{Fcntl, Flock, Dotlock}, Attempts: 1, Stale: time.Hour, StrictOwner: true, Hostname: "h.test"}

const sample = "Subject: x\n\nFrom me\n>From you\n.dot\n"

func TestFormats(t *testing.T) {
	t.Setenv("TZ", "UTC")
	date := time.Unix(1e9, 0).Local().Format(time.ANSIC)
	head := "Return-Path: <s@a.test>\nX-Original-To: o@b.test\nDelivered-To: r@b.test\n"
	for _, c := range []struct {
		name   string
		format Format
		want   string
	}{
		{"mbox", MboxFormat, "From s@a.test  " + date + "\n" + head + "Subject: x\n\n>From me\n>From you\n.dot\n\n"},
		{"maildir", MaildirFormat, head + sample},
		{"command", CommandFormat, "From s@a.test  " + date + "\n" + head + sample},
		{"lmtp-like", Format{DotStuff: true, EndOfLine: "\r\n"},
			"X-Original-To: o@b.test\r\nDelivered-To: r@b.test\r\nSubject: x\r\n\r\nFrom me\r\n>From you\r\n..dot\r\n"},
	} {
		var b strings.Builder
		if err := message(t, sample).Write(&b, c.format); err != nil {
			t.Fatal(err)
		}
		if b.String() != c.want {
			t.Errorf("%s:\n%q\nwant\n%q", c.name, b.String(), c.want)
		}
	}
}

func TestHeadersCannotBeForged(t *testing.T) {
	m := message(t, sample)
	m.Sender, m.Delivered, m.Original = "", "a\nX-Evil: 1@b.test", "b\r@c.test"
	var b strings.Builder
	if err := m.Write(&b, MboxFormat); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\nX-Evil") || strings.Contains(b.String(), "\r") {
		t.Errorf("line break came through: %q", b.String())
	}
	if !strings.HasPrefix(b.String(), "From MAILER-DAEMON  ") || !strings.Contains(b.String(), "Return-Path: <>\n") {
		t.Errorf("null sender: %q", b.String())
	}
}

func TestLongFromLineIsQuotedOnce(t *testing.T) {
	long := "From " + strings.Repeat("From ", 2000)
	var b strings.Builder
	if err := message(t, long+"\n").Write(&b, Format{QuoteFrom: true}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(b.String(), ">"); got != 1 {
		t.Errorf("%d quotes", got)
	}
}

func TestMaildir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "er", "Maildir") + "/"
	for range 3 {
		if err := message(t, sample).Maildir(context.Background(), dir, testOptions); err != nil {
			t.Fatal(err)
		}
	}
	names, _ := filepath.Glob(dir + "new/*")
	if len(names) != 3 {
		t.Fatalf("%d files in new", len(names))
	}
	st, err := os.Stat(names[0])
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if !strings.HasSuffix(names[0], ".h.test") || !strings.Contains(names[0], ".V") {
		t.Errorf("name %s", names[0])
	}
	if left, _ := filepath.Glob(dir + "tmp/*"); len(left) != 0 {
		t.Errorf("left in tmp: %v", left)
	}
	data, _ := os.ReadFile(names[0])
	if !strings.HasPrefix(string(data), "Return-Path: <s@a.test>\n") || !strings.HasSuffix(string(data), sample) {
		t.Errorf("%q", data)
	}
}

func TestMaildirFailures(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	os.WriteFile(file, nil, 0o600)
	small := testOptions
	small.MaxSize = 10
	for _, c := range []struct {
		name, path string
		o          Options
		code, text string
	}{
		{"not a directory", file + "/", testOptions, "5.2.0", "maildir delivery failed: create maildir file " + file + "/tmp/"},
		{"too large", filepath.Join(base, "box") + "/", small, "5.2.2", "maildir delivery failed: error writing message: File too large"},
	} {
		err := message(t, sample).Maildir(context.Background(), c.path, c.o)
		var m *mail.Error
		if !errors.As(err, &m) || m.Code != c.code || !strings.HasPrefix(m.Text, c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, sub := range []string{"tmp", "new"} {
		if left, _ := filepath.Glob(filepath.Join(base, "box", sub, "*")); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestMboxAppendsAndKeepsOldMailOnFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	if _, err := message(t, sample).Mbox(context.Background(), path, testOptions); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(before), "From s@a.test  ") || !strings.HasSuffix(string(before), "\n\n") {
		t.Fatalf("%q", before)
	}
	o := testOptions
	o.MaxSize = int64(len(before)) + 100000
	_, err := message(t, strings.Repeat(strings.Repeat("x", 99)+"\n", 2000)).Mbox(context.Background(), path, o)
	var m *mail.Error
	if !errors.As(err, &m) || m.Code != "5.2.2" || m.Text != "error writing message: File too large" {
		t.Errorf("%v", err)
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Errorf("mailbox is not as it was: %d bytes, had %d", len(after), len(before))
	}
	if _, err := os.Lstat(path + ".lock"); !os.IsNotExist(err) {
		t.Errorf("lock file left: %v", err)
	}
}

func TestDamagedMessageIsNotDelivered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	os.WriteFile(path, []byte("old\n"), 0o600)
	m := message(t, sample)
	m.Content.Digest ^= 1
	_, err := m.Mbox(context.Background(), path, testOptions)
	var e *mail.Error
	if !errors.As(err, &e) || e.Code != "4.3.0" {
		t.Errorf("mbox: %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "old\n" {
		t.Errorf("mailbox is now %q", data)
	}
	dir := t.TempDir() + "/md/"
	if err := m.Maildir(context.Background(), dir, testOptions); !errors.As(err, &e) || e.Code != "4.3.0" {
		t.Errorf("maildir: %v", err)
	}
	if got, _ := filepath.Glob(dir + "*/*"); len(got) != 0 {
		t.Errorf("files: %v", got)
	}
}

// Security catalogue F6: what lies at the mailbox's name is not trusted.
func TestMboxRefusesWhatIsNotAMailbox(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	os.WriteFile(target, []byte("precious\n"), 0o600)
	path := func(name string) string { return filepath.Join(dir, name) }
	os.Symlink(target, path("symlink"))
	os.Symlink(dir, path("dirlink"))
	os.Symlink(path("nowhere"), path("dangling"))
	os.WriteFile(path("linked"), nil, 0o600)
	os.Link(path("linked"), path("hardlink"))
	unix.Mkfifo(path("fifo"), 0o600)
	os.Mkdir(path("directory"), 0o700)
	for name, want := range map[string]string{
		"symlink":   "5.2.0 file is a symbolic link",
		"dirlink":   "5.2.0 file is a symbolic link",
		"dangling":  "5.2.0 file is a symbolic link",
		"hardlink":  "5.2.0 file has 2 hard links",
		"fifo":      "5.2.0 cannot open file: No such device or address",
		"directory": "5.2.0 cannot open file: Is a directory",
	} {
		_, err := message(t, sample).Mbox(context.Background(), path(name), testOptions)
		var m *mail.Error
		if !errors.As(err, &m) || m.Code+" "+m.Text != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if data, _ := os.ReadFile(target); string(data) != "precious\n" {
		t.Errorf("the file behind the link was written to: %q", data)
	}
	if _, err := os.Lstat(path("nowhere")); !os.IsNotExist(err) {
		t.Error("a dangling link was followed")
	}
	os.Symlink(target, path("box.lock"))
	o := testOptions
	if _, err := message(t, sample).Mbox(context.Background(), path("box"), o); err == nil {
		t.Error("delivered although the lock file is a link")
	}
}

func TestMboxOfSomebodyElse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: giving a file away needs root")
	}
	path := filepath.Join(t.TempDir(), "mbox")
	os.WriteFile(path, nil, 0o666)
	os.Chown(path, 54321, 54321)
	_, err := message(t, sample).Mbox(context.Background(), path, testOptions)
	var m *mail.Error
	if !errors.As(err, &m) || m.Code != "4.2.0" || m.Text != "destination "+path+" is not owned by recipient" {
		t.Errorf("%v", err)
	}
	o := testOptions
	o.StrictOwner = false
	if _, err := message(t, sample).Mbox(context.Background(), path, o); err != nil {
		t.Errorf("not strict: %v", err)
	}
}

// Security catalogue F6: while the name is swapped for a link again and again,
// nothing is ever written behind the link.
func TestMboxRace(t *testing.T) {
	dir := t.TempDir()
	path, target := filepath.Join(dir, "mbox"), filepath.Join(dir, "target")
	os.WriteFile(target, nil, 0o600)
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			tmp := filepath.Join(dir, "tmp")
			if n%2 == 0 {
				os.Symlink(target, tmp)
			} else {
				os.WriteFile(tmp, nil, 0o600)
			}
			os.Rename(tmp, path)
		}
	})
	o := testOptions
	o.Locks = nil
	m := message(t, sample)
	for range 300 {
		m.Mbox(context.Background(), path, o)
	}
	close(stop)
	wait.Wait()
	if st, _ := os.Stat(target); st.Size() != 0 {
		t.Errorf("%d bytes were written behind the link", st.Size())
	}
}

func TestLocksExclude(t *testing.T) {
	for _, l := range []Lock{Fcntl, Flock, Dotlock} {
		path := filepath.Join(t.TempDir(), "mbox")
		os.WriteFile(path, nil, 0o600)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		held := Options{Locks: []Lock{l}, Attempts: 1}
		unlock := func() { f.Close() }
		if l == Dotlock {
			if unlock, err = held.dotlock(context.Background(), path); err != nil {
				t.Fatal(err)
			}
		} else if err := held.kernelLocks(context.Background(), int(f.Fd())); err != nil {
			t.Fatal(err)
		}
		_, err = message(t, sample).Mbox(context.Background(), path, held)
		var m *mail.Error
		if !errors.As(err, &m) || m.Code != "4.2.0" || !strings.Contains(m.Text, "lock") {
			t.Errorf("%s: %v", l, err)
		}
		unlock()
		if _, err = message(t, sample).Mbox(context.Background(), path, held); err != nil {
			t.Errorf("%s: after unlock: %v", l, err)
		}
	}
}

func TestConcurrentAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	o := testOptions
	o.Attempts, o.Delay = 2000, time.Millisecond
	const n = 20
	m := message(t, sample)
	var wait sync.WaitGroup
	for range n {
		wait.Go(func() {
			if _, err := m.Mbox(context.Background(), path, o); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	data, _ := os.ReadFile(path)
	if got := strings.Count("\n"+string(data), "\nFrom s@a.test  "); got != n {
		t.Errorf("%d messages, want %d", got, n)
	}
}

func TestStaleDotlockIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	os.WriteFile(path+".lock", nil, 0o600)
	old := time.Now().Add(-time.Hour)
	os.Chtimes(path+".lock", old, old)
	o := testOptions
	o.Attempts, o.Stale = 2, time.Minute
	if _, err := message(t, sample).Mbox(context.Background(), path, o); err != nil {
		t.Error(err)
	}
}

func TestDevice(t *testing.T) {
	if _, err := message(t, sample).Mbox(context.Background(), "/dev/null", testOptions); err != nil {
		t.Error(err)
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	os.WriteFile(path("file"), []byte("0123456789"), 0o640)
	os.Symlink(path("file"), path("link"))
	unix.Mkfifo(path("fifo"), 0o600)
	f, err := ReadFile(path("file"), 10)
	if err != nil || !f.Found || !f.Whole || !f.Regular() || string(f.Data) != "0123456789" || f.Mode&0o777 != 0o640 {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err = ReadFile(path("file"), 4); err != nil || f.Whole || string(f.Data) != "0123" {
		t.Errorf("limit: %+v, %v", f, err)
	}
	for _, name := range []string{"link", "fifo"} {
		if f, err = ReadFile(path(name), 10); err != nil || !f.Found || f.Regular() || f.Data != nil {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if f, err = ReadFile(path("none"), 10); err != nil || f.Found {
		t.Errorf("none: %+v, %v", f, err)
	}
}

func TestParseLocks(t *testing.T) {
	if _, err := ParseLocks([]string{"fcntl", "lockf"}); err == nil {
		t.Error("lockf was accepted")
	}
}
