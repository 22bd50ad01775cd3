package local

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

// site is a machine with users, aliases and mailboxes below one directory.
type site struct {
	t       *testing.T
	dir     string
	params  Params
	aliases map[string]string
	tables  map[string]map[string]string
	worker  *worker
	sent    []Forward
	refuse  error // what Forward answers, if not nil
	log     []string
	passed  []deliver.Request
	env     mail.Envelope
	text    string

	propagate []string
	as        user.Worker // nil: worker
}

const (
	annGID = 2001
	bobGID = 2002
	genGID = 2999 // of default_privs
)

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), aliases: map[string]string{}, tables: map[string]map[string]string{}, worker: &worker{}}
	s.env.Sender = "s@a.test"
	s.text = "Subject: x\n\nbody\n"
	for _, d := range []string{"spool", "home/ann", "home/bob", "files"} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// A mailbox must be owned by its user, and these tests write all files as
	// the user who runs them.
	uid := max(os.Geteuid(), 1001)
	if os.Geteuid() != 0 {
		uid = os.Geteuid()
	}
	passwd := "root:x:0:0::/root:/bin/sh\n"
	for _, u := range []struct {
		name string
		gid  int
	}{{"ann", annGID}, {"bob", bobGID}, {"general", genGID}} {
		passwd += fmt.Sprintf("%s:x:%d:%d::%s/home/%s:/bin/zsh\n", u.name, uid, u.gid, s.dir, u.name)
	}
	s.write("passwd", passwd)
	s.params = Params{
		Common: config.Common{AliasMaps: "test:aliases", RecipientDelimiter: "+", DefaultPrivs: "general",
			OwnerRequestSpecial: true, MyHostname: "h.test", QueueDirectory: s.dir},
		User:              user.Params{LockAttempts: 1, StrictOwner: true, ExportEnvironment: []string{"TZ"}},
		FrozenDeliveredTo: true,
		ForwardPath:       "$home/.forward${recipient_delimiter}${extension}, $home/.forward",
		ForwardFilter:     filterChars, CommandFilter: filterChars, DirectoryFilter: filterChars,
		AllowCommands: []string{"alias", "forward"}, AllowFiles: []string{"alias", "forward"},
		PrependDelivered: []string{"command", "file", "forward"},
		SpoolDirectory:   s.dir + "/spool", CommandLimit: 20 * time.Second,
		MailboxLock: []string{"fcntl", "dotlock"}, MailboxLimit: 100000,
	}
	s.tables["test:aliases"] = s.aliases
	return s
}

const filterChars = "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func (s *site) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *site) read(name string) string {
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(data)
}

// Open implements table.Opener. A table that does not exist is empty, one
// called test:broken fails.
func (s *site) Open(spec string) table.Named { return table.Named{Table: plain{s, spec}, Name: spec} }

type plain struct {
	s    *site
	spec string
}

func (p plain) Lookup(_ context.Context, key string) (string, bool, error) {
	if p.spec == "test:broken" {
		return "", false, errors.New("table is broken")
	}
	v, ok := p.s.tables[p.spec][key]
	return v, ok, nil
}

func (s *site) Warning(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func (s *site) Forward(_ context.Context, f Forward) (mail.QueueID, error) {
	if s.refuse != nil {
		return "", s.refuse
	}
	s.sent = append(s.sent, f)
	return mail.QueueID(fmt.Sprintf("NEW%d", len(s.sent))), nil
}

// Route takes h.test for here, and names without domain.
func (s *site) Route(_ context.Context, a mail.Address) (mail.Address, bool, error) {
	if a.Domain() == "defer.test" {
		return "", false, errors.New("no answer")
	}
	if !strings.Contains(string(a), "@") {
		a += "@h.test"
	}
	return a, strings.EqualFold(a.Domain(), "h.test"), nil
}

// worker notes as whom it is asked, and does the work as this process.
type worker struct {
	jobs []string
	envs [][]string
}

func (w *worker) note(kind string, as user.Identity, what string) user.Identity {
	if as.UID == 0 || as.GID == 0 {
		panic("asked for superuser rights")
	}
	w.jobs = append(w.jobs, fmt.Sprintf("%s %d %s", kind, as.GID, what))
	return user.Identity{UID: uint32(os.Geteuid())}
}

func (w *worker) Deliver(ctx context.Context, as user.Identity, d user.Delivery) (mailbox.Warnings, error) {
	return user.Direct{}.Deliver(ctx, w.note("write", as, d.Path), d)
}

func (w *worker) Run(ctx context.Context, as user.Identity, c user.Command) (user.Outcome, error) {
	w.envs = append(w.envs, c.Env)
	return user.Direct{}.Run(ctx, w.note("run", as, c.Line), c)
}

func (w *worker) Read(ctx context.Context, as user.Identity, path string, limit int64) (mailbox.File, error) {
	return user.Direct{}.Read(ctx, w.note("read", as, path), path, limit)
}

// transport answers for other services.
type transport struct {
	s      *site
	status mail.Status
}

func (a transport) Deliver(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
	a.s.passed = append(a.s.passed, r)
	done(0, a.status)
	return nil
}

func (s *site) agent() *Agent {
	s.t.Helper()
	var w user.Worker = s.worker
	if s.as != nil {
		w = s.as
	}
	a, err := New(s.params, Deps{
		Tables: s, Accounts: user.PasswdFile{Path: s.dir + "/passwd"}, Worker: w, Forwarder: s, Router: s, Log: s,
		Transport: func(service string) (deliver.Agent, error) {
			if service != "lmtp" {
				return nil, errors.New("no such service")
			}
			return transport{s, mail.Status{Action: mail.Delivered, Code: "2.1.5", Reason: "ok", Relay: "store[private/lmtp]"}}, nil
		},
		Propagate: s.propagate,
		Getenv:    func(name string) (string, bool) { return "UTC", name == "TZ" },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// send delivers the message to one recipient.
func (s *site) send(to mail.Address) mail.Status {
	s.t.Helper()
	var got []mail.Status
	err := s.agent().Deliver(context.Background(), deliver.Request{
		ID: "OLD", Service: "local", Nexthop: "h.test", Envelope: s.env, Content: content(s.t, s.text),
		Recipients: []mail.Recipient{{Address: to, Original: to, Notify: mail.NotifyFailure | mail.NotifySuccess}},
	}, func(_ mail.RecipientIndex, st mail.Status) { got = append(got, st) })
	if err != nil || len(got) != 1 {
		s.t.Fatalf("%s: %+v, %v", to, got, err)
	}
	return got[0]
}

// want sends and compares code and reason; DIR stands for the directory.
func (s *site) want(to mail.Address, want string) {
	s.t.Helper()
	st := s.send(to)
	if got := strings.ReplaceAll(st.Code+" "+st.Reason, s.dir, "DIR"); got != want {
		s.t.Errorf("%s: %s\nwant %s\nlog %q", to, got, want, s.log)
	}
	if class := map[byte]bool{'2': true}[st.Code[0]]; class != (st.Action == mail.Delivered || st.Action == mail.Expanded || st.Action == mail.Relayed) {
		s.t.Errorf("%s: code %s with action %v", to, st.Code, st.Action)
	}
}

// logged tells whether a warning was given; DIR stands for the directory.
func (s *site) logged(want string) {
	s.t.Helper()
	if got := strings.ReplaceAll(strings.Join(s.log, "\n"), s.dir, "DIR"); !strings.Contains(got, want) {
		s.t.Errorf("not logged: %s\nlog: %s", want, got)
	}
}

// forwarded are the new messages as `sender: recipients`.
func (s *site) forwarded() string {
	var all []string
	for _, f := range s.sent {
		var to []string
		for _, r := range f.Recipients {
			to = append(to, string(r.Address))
		}
		all = append(all, string(f.Envelope.Sender)+": "+strings.Join(to, " "))
	}
	return strings.Join(all, "; ")
}

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
