package pickup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

// incoming is a message that the door took.
type incoming struct {
	envelope  mail.Envelope
	to        []mail.Recipient
	text      string
	committed bool
	refuse    error
}

func (m *incoming) ID() mail.QueueID { return "NEW" }
func (m *incoming) Recipient(_ context.Context, r mail.Recipient) error {
	m.to = append(m.to, r)
	return nil
}
func (m *incoming) Line(b []byte) error     { m.text += string(b) + "\n"; return nil }
func (m *incoming) Fragment(b []byte) error { m.text += string(b); return nil }
func (m *incoming) Commit(context.Context) error {
	m.committed = m.refuse == nil
	return m.refuse
}
func (m *incoming) Discard()                     {}
func (m *incoming) Sender() mail.Address         { return "made-" + m.envelope.Sender }
func (m *incoming) Recipients() []mail.Recipient { return m.to }
func (m *incoming) ContentRefused() bool         { return m.refuse == errContent }

var errContent = &mail.Error{Reply: 550, Code: "5.7.1", Text: "message content rejected"}

// site is a pickup with a real queue and everything else in memory.
type site struct {
	t        *testing.T
	root     string
	q        *queue.Queue
	s        *Service
	got      []*incoming
	log      []string
	refuse   error
	rejected []Rejected
	trusted  bool
}

func (s *site) Info(f string, a ...any)    { s.log = append(s.log, fmt.Sprintf(f, a...)) }
func (s *site) Warning(f string, a ...any) { s.log = append(s.log, "warning: "+fmt.Sprintf(f, a...)) }

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, root: t.TempDir()}
	q, err := queue.New(queue.Options{FS: queue.DirFS(s.root)})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Setup(); err != nil {
		t.Fatal(err)
	}
	s.q = q
	s.s = New(Deps{
		Queue: q, Log: s, Now: time.Now,
		Trusted: func(uint32) bool { return s.trusted },
		Open: func(_ context.Context, e mail.Envelope) (Message, error) {
			m := &incoming{envelope: e, refuse: s.refuse}
			s.got = append(s.got, m)
			return m, nil
		},
		Reject: func(_ context.Context, r Rejected) error {
			s.rejected = append(s.rejected, r)
			return nil
		},
	})
	return s
}

// users is a queue whose maildrop files belong to users: others may open them
// when they are ready.
type users struct{ *queue.Queue }

func (u users) Open(n queue.Name, id mail.QueueID) (*queue.Message, error) {
	if st, err := u.Stat(n, id); err == nil && st.Mode.Perm()&0o004 == 0 {
		return nil, fmt.Errorf("open maildrop/%s: %w", id, fs.ErrPermission)
	}
	return u.Queue.Open(n, id)
}

func TestFilesBeingWrittenAreNotMentioned(t *testing.T) {
	s := newSite(t)
	s.s.deps.Queue = users{s.q}
	s.drop("4KWrX00000z1", plain)
	s.drop("4KWrX00000z2", plain)
	for name, mode := range map[string]os.FileMode{"4KWrX00000z1": 0o600, "4KWrX00000z2": 0o700} {
		if err := os.Chmod(s.path(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	s.s.Scan(context.Background())
	if want := "warning: 4KWrX00000z2: open maildrop/4KWrX00000z2: permission denied"; len(s.log) != 1 || s.log[0] != want {
		t.Errorf("log %q, want %q alone", s.log, want)
	}
}

func (s *site) path(name string) string { return filepath.Join(s.root, "maildrop", name) }

// drop writes a maildrop file made by f.
func (s *site) drop(name string, f func(*record.Writer)) {
	s.t.Helper()
	file, err := os.OpenFile(s.path(name), os.O_CREATE|os.O_WRONLY, 0o744)
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	w := record.NewMaildropWriter(file)
	f(w)
	if err := w.End(); err != nil {
		s.t.Fatal(err)
	}
}

func plain(w *record.Writer) {
	w.Envelope(&mail.Envelope{Sender: "a@b.test", FullName: "A B", Arrival: time.Unix(1700000000, 0)})
	w.Recipient(mail.Recipient{Address: "r@c.test", Notify: mail.NotifyFailure, DSNOriginal: "rfc822;o@c.test"})
	w.BeginContent()
	w.Line([]byte("Subject: hi"))
	w.Line(nil)
	w.Line([]byte("hello"))
	w.BeginExtracted()
	w.Recipient(mail.Recipient{Address: "from-header@c.test"})
}

func (s *site) left() int {
	entries, err := os.ReadDir(filepath.Join(s.root, "maildrop"))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(entries)
}

func TestTakesAMessage(t *testing.T) {
	s := newSite(t)
	s.drop("AB12", plain)
	s.s.Scan(context.Background())
	if len(s.got) != 1 || !s.got[0].committed || s.left() != 0 {
		t.Fatalf("%d messages, %d files left, log %q", len(s.got), s.left(), s.log)
	}
	m := s.got[0]
	if m.text != "Subject: hi\n\nhello\n" || m.envelope.Sender != "a@b.test" || m.envelope.FullName != "A B" ||
		m.envelope.Origin.UserID != fmt.Sprint(os.Getuid()) {
		t.Errorf("%+v", m)
	}
	want := []mail.Recipient{
		{Address: "r@c.test", Notify: mail.NotifyFailure, DSNOriginal: "rfc822;o@c.test"}, {Address: "from-header@c.test"}}
	if len(m.to) != 2 || m.to[0] != want[0] || m.to[1] != want[1] {
		t.Errorf("recipients %+v", m.to)
	}
	if want := fmt.Sprintf("NEW: uid=%d from=<a@b.test>", os.Getuid()); len(s.log) != 1 || s.log[0] != want {
		t.Errorf("log %q", s.log)
	}
}

// A message may be requeued while it is delivered: when its recipients are done,
// nobody gets it again, nor does its sender get it back.
func TestForgetsWhatIsDelivered(t *testing.T) {
	s := newSite(t)
	s.trusted, s.refuse = true, &mail.Error{Reply: 550, Code: "5.1.0", Text: "no recipients"}
	s.drop("AB12", plain)
	text, err := os.ReadFile(s.path("AB12"))
	if err != nil {
		t.Fatal(err)
	}
	done := strings.NewReplacer("R\x08r@c.test", "D\x08r@c.test", "R\x12from-header@c.test", "D\x12from-header@c.test").Replace(string(text))
	if err := errors.Join(os.WriteFile(s.path("AB12"), []byte(done), 0o700), os.Chmod(s.path("AB12"), 0o700)); err != nil {
		t.Fatal(err)
	}
	s.s.Scan(context.Background())
	if len(s.got) != 0 || len(s.rejected) != 0 || s.left() != 0 {
		t.Errorf("%d taken, %d returned, %d left, log %q", len(s.got), len(s.rejected), s.left(), s.log)
	}
	if want := "AB12: removed: it was requeued while its last recipient was served"; len(s.log) != 1 || s.log[0] != want {
		t.Errorf("log %q", s.log)
	}
}

// What a user forges does no harm: see the security catalogue, F5 and A10 to A12.
func TestForgedFiles(t *testing.T) {
	forged := map[string]func(*record.Writer){
		"DONE1":  func(w *record.Writer) { plain(w); w.Redirect("evil@c.test") },
		"FILTER": func(w *record.Writer) { w.Filter("pipe:evil"); plain(w) },
	}
	for name, write := range forged {
		s := newSite(t)
		s.drop(name, write)
		s.s.Scan(context.Background())
		if len(s.got) != 0 || s.left() != 0 {
			t.Errorf("%s: taken %d, left %d", name, len(s.got), s.left())
		}
		if _, err := s.q.Stat(queue.Corrupt, mail.QueueID(name)); err != nil {
			t.Errorf("%s is not in corrupt: %v", name, err)
		}
	}
}

func TestForgedAttributesAreDropped(t *testing.T) {
	s := newSite(t)
	s.drop("AB12", func(w *record.Writer) {
		w.Attribute("client_address", "127.0.0.1")
		w.Attribute("sasl_username", "boss")
		w.Attribute("trace_flags", "256")
		w.Attribute("create_time", "1")
		plain(w)
	})
	s.s.Scan(context.Background())
	if len(s.got) != 1 {
		t.Fatalf("log %q", s.log)
	}
	if e := s.got[0].envelope; e.Trace != 0 || e.Origin.SASLUsername != "" || e.Origin.Client.Address != "" || e.Created.Unix() == 1 {
		t.Errorf("%+v", e)
	}
}

func TestStrangeFiles(t *testing.T) {
	s := newSite(t)
	s.drop("AB12", plain)
	for name, make := range map[string]func(string) error{
		"LINK": func(p string) error { return os.Symlink(s.path("AB12"), p) },
		"DIR1": func(p string) error { return os.Mkdir(p, 0o700) },
		"HALF": func(p string) error { return os.WriteFile(p, []byte("T\x05123"), 0o744) },
		"NULL": func(p string) error { return os.WriteFile(p, nil, 0o744) },
		"WORK": func(p string) error { return os.WriteFile(p, []byte("T\x05123"), 0o644) },
		"BIGR": func(p string) error { return os.WriteFile(p, []byte("T\xff\xff\xff\x7fxx"), 0o744) },
	} {
		if err := make(s.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	s.s.Scan(context.Background())
	if len(s.got) != 1 {
		t.Errorf("%d messages taken", len(s.got))
	}
	if s.left() != 3 { // the link, the directory and the file that is still being written
		t.Errorf("%d files left; log %q", s.left(), s.log)
	}
}

func TestTemporaryRefusalKeepsTheFile(t *testing.T) {
	s := newSite(t)
	s.refuse = &mail.Error{Reply: 452, Code: "4.3.1", Text: "Insufficient system storage"}
	s.drop("AB12", plain)
	s.s.Scan(context.Background())
	if s.left() != 1 || len(s.rejected) != 0 {
		t.Errorf("left %d, rejected %d", s.left(), len(s.rejected))
	}
}

func TestPermanentRefusalGoesBack(t *testing.T) {
	s := newSite(t)
	s.refuse = &mail.Error{Reply: 554, Code: "5.4.0", Text: "Error: too many hops"}
	s.drop("AB12", plain)
	s.s.Scan(context.Background())
	if s.left() != 0 || len(s.rejected) != 1 || len(s.rejected[0].Recipients) != 2 {
		t.Fatalf("left %d, rejected %+v", s.left(), s.rejected)
	}
	r := s.rejected[0]
	if r.ID != "NEW" || r.Envelope.Sender != "made-a@b.test" || r.Envelope.Return == mail.ReturnHeaders {
		t.Errorf("%+v is not told of as the door made it", r)
	}
	if strings.Contains(strings.Join(s.log, "\n"), "warning") {
		t.Errorf("log %q", s.log)
	}
}

// What a check refused is not sent back as a whole: a forged sender would get it.
func TestRefusedContentStays(t *testing.T) {
	s := newSite(t)
	s.refuse = errContent
	s.drop("AB12", plain)
	s.s.Scan(context.Background())
	if len(s.rejected) != 1 || s.rejected[0].Envelope.Return != mail.ReturnHeaders {
		t.Errorf("rejected %+v", s.rejected)
	}
}
