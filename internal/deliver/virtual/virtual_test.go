package virtual

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posthaste/internal/config"
	"posthaste/internal/deliver"
	"posthaste/internal/deliver/user"
	"posthaste/internal/mail"
	"posthaste/internal/mailbox"
	"posthaste/internal/queue/record"
	"posthaste/internal/table"
)

// tables are tables by name, made of plain maps; one called `broken` fails.
type tables map[string]map[string]string

func (o tables) Open(spec string) table.Named {
	return table.Named{Table: plain{spec, o[spec]}, Name: spec}
}

type plain struct {
	name string
	data map[string]string
}

func (p plain) Lookup(_ context.Context, key string) (string, bool, error) {
	if p.name == "test:broken" {
		return "", false, errors.New("broken")
	}
	v, ok := p.data[key]
	return v, ok, nil
}

type logger struct{ lines []string }

func (l *logger) Warning(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

// worker notes as whom it was asked and does the work as this process.
type worker struct {
	user.Direct
	as    []user.Identity
	paths []string
}

func (w *worker) Deliver(ctx context.Context, as user.Identity, d user.Delivery) (mailbox.Warnings, error) {
	w.as, w.paths = append(w.as, as), append(w.paths, d.Path)
	return w.Direct.Deliver(ctx, user.Identity{UID: uint32(os.Geteuid())}, d)
}

func content(t *testing.T, text string) record.Content {
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
		w.Line([]byte(strings.TrimSuffix(line, "\n")))
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

type site struct {
	agent  *Agent
	worker *worker
	log    *logger
	base   string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{worker: &worker{}, log: &logger{}, base: t.TempDir()}
	p := Params{
		Common: config.Common{VirtualMailboxMaps: "test:box", RecipientDelimiter: "+", MyHostname: "h.test"},
		User:   user.Params{LockAttempts: 1, StrictOwner: true},
		Base:   s.base, UIDMaps: "test:uid", GIDMaps: "test:gid", MinUID: 100, Limit: 400, Lock: []string{"fcntl", "dotlock"},
	}
	all := map[string]string{}
	boxes := map[string]string{
		"a@v.test": "a", "b@v.test": "b/", "b+x@v.test": "bx/", "low@v.test": "low", "nouid@v.test": "nouid",
		"up@v.test": "../up", "@all.test": "all", "big@v.test": "big", "lost@v.test": "none/lost", "root@v.test": "root",
	}
	for k := range boxes {
		all[k] = "1000"
	}
	delete(all, "nouid@v.test")
	all["low@v.test"], all["root@v.test"] = "99", "0"
	o := tables{"test:box": boxes, "test:uid": all, "test:gid": {"@v.test": "2000", "@all.test": "2001"}}
	agent, err := New(p, Deps{Tables: o, Worker: s.worker, Log: s.log})
	if err != nil {
		t.Fatal(err)
	}
	s.agent = agent
	return s
}

func (s *site) send(t *testing.T, to mail.Address, text string, trace mail.Trace) mail.Status {
	t.Helper()
	var got []mail.Status
	err := s.agent.Deliver(context.Background(), deliver.Request{
		Service: "virtual", Envelope: mail.Envelope{Sender: "s@a.test", Trace: trace},
		Recipients: []mail.Recipient{{Address: to, Original: "o@v.test"}}, Content: content(t, text),
	}, func(_ mail.RecipientIndex, st mail.Status) { got = append(got, st) })
	if err != nil || len(got) != 1 || got[0].Relay != "virtual" {
		t.Fatalf("%s: %+v, %v", to, got, err)
	}
	return got[0]
}

// The expected texts are those of a real virtual(8).
func TestDeliver(t *testing.T) {
	s := newSite(t)
	big := strings.Repeat("x\n", 500)
	for _, c := range []struct{ to, text, want string }{
		{"a@v.test", "x\n", "2.0.0 delivered to mailbox"},
		{"A@V.Test", "x\n", "2.0.0 delivered to mailbox"},
		{"b@v.test", "x\n", "2.0.0 delivered to maildir"},
		{"b+x@v.test", "x\n", "2.0.0 delivered to maildir"},
		{"a+y@v.test", "x\n", "2.0.0 delivered to mailbox"},
		{"anyone@all.test", "x\n", "2.0.0 delivered to mailbox"},
		{"zz@v.test", "x\n", `5.1.1 unknown user: "zz@v.test"`},
		{"low@v.test", "x\n", "4.3.5 mail system configuration error"},
		{"nouid@v.test", "x\n", "4.3.5 mail system configuration error"},
		{"root@v.test", "x\n", "4.3.5 mail system configuration error"},
		{"up@v.test", "x\n", "4.3.5 mail system configuration error"},
		{"big@v.test", big, "5.2.2 delivery failed to mailbox " + s.base + "/big: error writing message: File too large"},
		{"lost@v.test", "x\n", "4.2.0 delivery failed to mailbox " + s.base + "/none/lost: unable to create lock file " +
			s.base + "/none/lost.lock: No such file or directory"},
	} {
		st := s.send(t, mail.Address(c.to), c.text, 0)
		if got := st.Code + " " + st.Reason; got != c.want {
			t.Errorf("%s: %s, want %s", c.to, got, c.want)
		}
	}
	if s.worker.as[0] != (user.Identity{UID: 1000, GID: 2000}) {
		t.Errorf("as %v", s.worker.as[0])
	}
	want := []string{"recipient low@v.test: bad uid 99 in virtual_uid_maps", "recipient nouid@v.test: not found in virtual_uid_maps"}
	for _, w := range want {
		if !strings.Contains(strings.Join(s.log.lines, "\n"), w) {
			t.Errorf("%q was not logged: %q", w, s.log.lines)
		}
	}
	if _, err := os.Stat(s.base + "/../up"); err == nil {
		t.Error("the base directory was left")
	}
	data, err := os.ReadFile(s.base + "/a")
	if err != nil || !strings.Contains(string(data), "\nReturn-Path: <s@a.test>\nX-Original-To: o@v.test\nDelivered-To: a@v.test\nx\n\n") {
		t.Errorf("%q, %v", data, err)
	}
}

func TestProbeDeliversNothing(t *testing.T) {
	s := newSite(t)
	if st := s.send(t, "a@v.test", "x\n", mail.TraceProbe); st.Action != mail.Deliverable || st.Reason != "delivers to mailbox" {
		t.Errorf("%+v", st)
	}
	if st := s.send(t, "zz@v.test", "x\n", mail.TraceProbe); st.Action != mail.Undeliverable {
		t.Errorf("%+v", st)
	}
	if len(s.worker.paths) != 0 {
		t.Errorf("delivered to %v", s.worker.paths)
	}
}

func TestBrokenTableDefers(t *testing.T) {
	s := newSite(t)
	s.agent.gid = table.NewMaps(tables{}, "virtual_gid_maps", "test:broken")
	if st := s.send(t, "a@v.test", "x\n", 0); st.Action != mail.Deferred || st.Code != "4.3.5" {
		t.Errorf("%+v", st)
	}
	s.agent.boxes = table.NewMaps(tables{}, "virtual_mailbox_maps", "test:broken")
	if st := s.send(t, "a@v.test", "x\n", 0); st.Action != mail.Deferred {
		t.Errorf("%+v", st)
	}
}

func TestBadLockIsAnError(t *testing.T) {
	if _, err := New(Params{Lock: []string{"lockf"}}, Deps{}); err == nil || !strings.Contains(err.Error(), "virtual_mailbox_lock") {
		t.Errorf("%v", err)
	}
}
