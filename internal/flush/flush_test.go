package flush

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// station is a service on a queue directory.
type station struct {
	*Service
	dir      string
	queue    *queue.Queue
	mu       sync.Mutex
	sent     []mail.QueueID
	warnings []string
	now      time.Time
}

func newStation(t *testing.T, hashed ...string) *station {
	t.Helper()
	s := &station{dir: t.TempDir(), now: time.Now()}
	var err error
	clock := func() time.Time { return s.now }
	if s.queue, err = queue.New(queue.Options{FS: queue.DirFS(s.dir), HashNames: hashed, HashDepth: 1, Now: clock}); err != nil {
		t.Fatal(err)
	}
	if err := s.queue.Setup(); err != nil {
		t.Fatal(err)
	}
	s.Service = New(Params{RefreshTime: 12 * time.Hour, PurgeTime: 7 * 24 * time.Hour}, Deps{
		Queue: s.queue, Now: clock,
		Eligible: func(_ context.Context, domain string) (bool, error) {
			if domain == "broken.test" {
				return false, errors.New("table is gone")
			}
			return strings.HasSuffix(domain, ".test") || domain == "[127.0.0.1]", nil
		},
		Send: func(ids ...mail.QueueID) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.sent = append(s.sent, ids...)
		},
		Warn: func(format string, args ...any) { s.warnings = append(s.warnings, format) },
	})
	return s
}

// wait makes messages that lie in the deferred queue.
func (s *station) wait(t *testing.T, ids ...mail.QueueID) {
	t.Helper()
	for _, id := range ids {
		path := filepath.Join(s.dir, s.queue.Path(queue.Deferred, id))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o700)); err != nil {
			t.Fatal(err)
		}
	}
}

// took are the messages that were sent since the last call.
func (s *station) took() []mail.QueueID {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.sent
	s.sent = nil
	return sent
}

func (s *station) record(name string) string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "flush", name))
	return string(text)
}

const one, two, three = mail.QueueID("4XyZ12abcdz1"), mail.QueueID("4XyZ12abcdz2"), mail.QueueID("ABCDEF123")

// A site gets its own mail, and each message once; afterwards the record is
// empty, and fills again.
func TestSendSite(t *testing.T) {
	for _, hashed := range [][]string{nil, {"flush", "deferred"}} {
		s := newStation(t, hashed...)
		s.wait(t, one, two)
		for _, to := range []mail.Address{"a@One.test", "b@one.test", `"x@y"@one.test`, "local"} {
			s.Deferred(one, to)
		}
		s.Deferred(two, "c@two.test")
		s.Deferred(two, "c@one.test")
		s.Deferred(one, "c@one.test")
		s.Deferred(three, "c@one.test") // was delivered meanwhile
		s.Deferred(three, "c@elsewhere.example")
		if err := s.SendSite(t.Context(), "ONE.test"); err != nil {
			t.Fatal(err)
		}
		if got := s.took(); !slices.Equal(got, []mail.QueueID{one, two}) {
			t.Errorf("sent %q", got)
		}
		if err := s.SendSite(t.Context(), "one.test"); err != nil || len(s.took()) > 0 {
			t.Errorf("sent again: %v", err)
		}
		s.Deferred(one, "c@one.test")
		if err := s.SendSite(t.Context(), "one.test"); err != nil || !slices.Equal(s.took(), []mail.QueueID{one}) {
			t.Errorf("not sent after a further attempt: %v", err)
		}
		if len(s.warnings) > 0 {
			t.Errorf("%q", s.warnings)
		}
	}
}

// The files are as Postfix has them.
func TestFiles(t *testing.T) {
	s := newStation(t)
	s.Deferred(one, "a@Mail-1.one.TEST")
	s.Deferred(one, "b@Mail-1.one.TEST")
	s.Deferred(two, "a@mail-1.one.test")
	s.Deferred(two, "a@[127.0.0.1]")
	s.Deferred(two, "a@../../é.test")
	entries, err := os.ReadDir(filepath.Join(s.dir, "flush"))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"_127_0_0_1_", "________test", "mail_1_one_test"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%q %v", names, err)
	}
	if got := s.record("mail_1_one_test"); got != string(two)+"\n" {
		t.Errorf("record %q", got)
	}
}

func TestDenied(t *testing.T) {
	s := newStation(t)
	for _, site := range []string{"", "elsewhere.example", strings.Repeat("x", 300) + ".test"} {
		if err := errors.Join(s.Add(t.Context(), site, one)); !errors.Is(err, ErrDenied) {
			t.Errorf("add %.20q: %v", site, err)
		}
		if err := s.SendSite(t.Context(), site); !errors.Is(err, ErrDenied) {
			t.Errorf("send %.20q: %v", site, err)
		}
	}
	if err := s.Add(t.Context(), "one.test", "../x"); err == nil || errors.Is(err, ErrDenied) {
		t.Errorf("a path as queue id: %v", err)
	}
	if s.Deferred(one, "a@elsewhere.example"); len(s.warnings) > 0 {
		t.Errorf("%q", s.warnings)
	}
	if s.Deferred(one, "a@broken.test"); len(s.warnings) != 1 {
		t.Errorf("%q", s.warnings)
	}
	if err := s.SendSite(t.Context(), "broken.test"); err == nil || errors.Is(err, ErrDenied) {
		t.Errorf("a broken table: %v", err)
	}
}

// A record that is damaged costs only what is damaged in it.
func TestDamaged(t *testing.T) {
	s := newStation(t)
	s.wait(t, one, two)
	text := "../../etc/passwd\n\n" + string(one) + "\n" + strings.Repeat("x", 200<<10) + "\n" + string(two) + "\n" + string(three)
	if err := os.WriteFile(filepath.Join(s.dir, "flush/one_test"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.SendSite(t.Context(), "one.test"); err != nil || !slices.Equal(s.took(), []mail.QueueID{one, two}) {
		t.Errorf("%v", err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	os.WriteFile(outside, []byte(one+"\n"), 0o600)
	if err := os.Symlink(outside, filepath.Join(s.dir, "flush/two_test")); err != nil {
		t.Fatal(err)
	}
	if err := s.SendSite(t.Context(), "two.test"); err == nil {
		t.Error("a link was followed")
	}
	if err := s.Add(t.Context(), "two.test", one); err == nil {
		t.Error("a link was written through")
	}
}

// Refresh sends what nobody asked for in a long time, and deletes records that
// have long been empty.
func TestRefresh(t *testing.T) {
	s := newStation(t)
	s.wait(t, one, two)
	s.Deferred(one, "a@one.test")
	s.Deferred(two, "a@two.test")
	if err := s.SendSite(t.Context(), "two.test"); err != nil {
		t.Fatal(err)
	}
	s.took()
	s.Refresh(s.params.RefreshTime)
	if got := s.took(); len(got) > 0 {
		t.Errorf("sent too early: %q", got)
	}
	s.now = s.now.Add(13 * time.Hour)
	s.Refresh(s.params.RefreshTime)
	if got := s.took(); !slices.Equal(got, []mail.QueueID{one}) {
		t.Errorf("sent %q", got)
	}
	s.now = s.now.Add(6*24*time.Hour + 18*time.Hour)
	s.Refresh(s.params.RefreshTime)
	sites, err := s.queue.Sites()
	if err != nil || len(sites) != 1 || sites[0].Name != "one_test" || sites[0].Size != 0 {
		t.Errorf("%+v %v", sites, err)
	}
	s.Deferred(one, "a@one.test")
	s.now = s.now.Add(30 * 24 * time.Hour)
	if err := s.queue.RemoveSite("one.test"); err != nil || s.record("one_test") == "" {
		t.Errorf("a record with a message in it was removed: %v", err)
	}
	s.Refresh(0)
	if got := s.took(); !slices.Equal(got, []mail.QueueID{one}) {
		t.Errorf("purge sent %q", got)
	}
	if len(s.warnings) > 0 {
		t.Errorf("%q", s.warnings)
	}
}

func TestServe(t *testing.T) {
	s := newStation(t)
	s.wait(t, one)
	s.Deferred(one, "a@one.test")
	s.now = s.now.Add(24 * time.Hour)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() {
			s.Serve(ctx, 1000*time.Second)
			close(over)
		}()
		time.Sleep(999 * time.Second)
		synctest.Wait()
		if got := s.took(); len(got) > 0 {
			t.Errorf("too early: %q", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := s.took(); !slices.Equal(got, []mail.QueueID{one}) {
			t.Errorf("sent %q", got)
		}
		cancel()
		<-over
	})
}
