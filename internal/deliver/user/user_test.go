package user

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/mailbox"
	"posthaste/internal/queue/record"
)

// A child made by the broker is this test binary again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "user-child" {
		if err := Child(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// content makes a queue file, readable by its owner only, and returns the content in it.
func content(t testing.TB, text string) record.Content {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "queue"), os.O_RDWR|os.O_CREATE, 0o600)
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

func message(t testing.TB) mailbox.Message {
	return mailbox.Message{Sender: "s@a.test", Delivered: "r@b.test", Arrived: time.Unix(1e9, 0), Content: content(t, "Subject: x\n\nbody\n")}
}

var me = Identity{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}

func command(t testing.TB, line string) Command {
	return Command{Line: line, Env: []string{CommandPath}, Dir: "/", Limit: 20 * time.Second, Message: message(t), Format: mailbox.CommandFormat}
}

// served is a Worker that talks to Serve over a socket in this process.
func served(t *testing.T) Worker {
	t.Helper()
	ours, theirs, err := pair(syscall.SOCK_STREAM)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Serve(context.Background(), theirs, Direct{}) }()
	conn, err := newConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	c := &lane{conn: conn}
	t.Cleanup(func() {
		conn.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return socketWorker{c}
}

type socketWorker struct{ c *lane }

func (s socketWorker) call(r *request) (reply, error) {
	file, err := r.contentFile()
	if err != nil {
		return reply{}, err
	}
	out, err := s.c.ask(r, file)
	if err != nil {
		return reply{}, err
	}
	if out.err != nil {
		return *out, out.err
	}
	return *out, nil
}
func (s socketWorker) Deliver(_ context.Context, _ Identity, d Delivery) (mailbox.Warnings, error) {
	r, err := s.call(&request{op: opDeliver, delivery: d})
	return r.warnings, err
}
func (s socketWorker) Run(_ context.Context, _ Identity, c Command) (Outcome, error) {
	r, err := s.call(&request{op: opRun, command: c})
	return r.outcome, err
}
func (s socketWorker) Read(_ context.Context, _ Identity, path string, limit int64) (mailbox.File, error) {
	r, err := s.call(&request{op: opRead, path: path, limit: limit})
	return r.file, err
}

// TestWorkers is what every Worker must do.
func TestWorkers(t *testing.T) {
	t.Run("direct", func(t *testing.T) { conformance(t, Direct{}, me) })
	t.Run("served", func(t *testing.T) { conformance(t, served(t), me) })
	t.Run("pool", func(t *testing.T) {
		needRoot(t)
		conformance(t, testPool(t, 4), stranger)
	})
}

func conformance(t *testing.T, w Worker, as Identity) {
	ctx := context.Background()
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		open(t, dir, as)
	}
	o := mailbox.Options{Locks: []mailbox.Lock{mailbox.Fcntl, mailbox.Dotlock}, Attempts: 3, StrictOwner: true, Hostname: "h.test"}
	for _, path := range []string{dir + "/mbox", dir + "/md/"} {
		if _, err := w.Deliver(ctx, as, Delivery{Path: path, Message: message(t), Options: o}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	st, err := os.Stat(dir + "/mbox")
	if err != nil {
		t.Fatal(err)
	}
	if sys := st.Sys().(*syscall.Stat_t); sys.Uid != as.UID || sys.Gid != as.GID {
		t.Errorf("mailbox belongs to %d:%d, want %v", sys.Uid, sys.Gid, as)
	}
	o.MaxSize = 5
	_, err = w.Deliver(ctx, as, Delivery{Path: dir + "/mbox", Message: message(t), Options: o})
	var m *mail.Error
	if !errors.As(err, &m) || m.Code != "5.2.2" {
		t.Errorf("size limit: %v", err)
	}
	out, err := w.Run(ctx, as, command(t, "id -u; id -G; cat"))
	want := fmt.Sprintf("%d\n", as.UID)
	if err != nil || out.Exit != 0 || !strings.HasPrefix(string(out.Output), want) || !strings.HasSuffix(string(out.Output), "Delivered-To: r@b.test\nSubject: x\n\nbody\n") {
		t.Errorf("command: %+v, %v", out, err)
	}
	if as != me && !strings.HasPrefix(string(out.Output), fmt.Sprintf("%d\n%d\nFrom ", as.UID, as.GID)) {
		t.Errorf("groups: %q", out.Output)
	}
	f, err := w.Read(ctx, as, dir+"/mbox", 6)
	if err != nil || string(f.Data) != "From s" || f.Whole || !f.Regular() || f.UID != as.UID {
		t.Errorf("read: %+v, %v", f, err)
	}
	if f, err = w.Read(ctx, as, dir+"/none", 6); err != nil || f.Found {
		t.Errorf("read none: %+v, %v", f, err)
	}
}

func open(t *testing.T, dir string, as Identity) {
	t.Helper()
	if err := os.Chown(dir, int(as.UID), int(as.GID)); err != nil {
		t.Fatal(err)
	}
	for d := filepath.Dir(dir); d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: changing the user needs root")
	}
}

// A user nobody has.
var stranger = Identity{UID: 54321, GID: 54322}

func testPool(t *testing.T, most int) *Pool {
	t.Helper()
	ours, theirs, err := Sockets()
	if err != nil {
		t.Fatal(err)
	}
	broker := &Broker{Args: []string{"posthaste", "user-child"}}
	done := make(chan error, 1)
	go func() { done <- broker.Serve(theirs) }()
	p, err := NewPool(ours, most, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		if err := <-done; err != nil {
			t.Errorf("broker: %v", err)
		}
	})
	return p
}

// Security catalogue F8: what a child is.
func TestChildHasNoRights(t *testing.T) {
	needRoot(t)
	p := testPool(t, 2)
	out, err := p.Run(context.Background(), stranger, command(t, "grep -E '^(Uid|Gid|Groups|CapEff|CapPrm)' /proc/$PPID/status; ls -l /proc/self/fd | wc -l"))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(string(out.Output)), " ")
	for _, want := range []string{
		"Uid: 54321 54321 54321 54321", "Gid: 54322 54322 54322 54322", "Groups: 54322",
		"CapPrm: 0000000000000000", "CapEff: 0000000000000000",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if n, _ := strconv.Atoi(got[strings.LastIndexByte(got, ' ')+1:]); n > 5 { // 0, 1, 2, the directory, "total"
		t.Errorf("descriptors leaked into a command: %s", got)
	}
}

func TestSuperuserIsRefused(t *testing.T) {
	ours, theirs, err := Sockets()
	if err != nil {
		t.Fatal(err)
	}
	broker := &Broker{Args: []string{"posthaste", "user-child"}}
	go broker.Serve(theirs)
	p, err := NewPool(ours, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, as := range []Identity{{0, 1}, {1, 0}, {0, 0}, {1<<32 - 1, 1}, {1, 1<<32 - 1}} {
		if as.UID == 0 || as.GID == 0 {
			if _, err := p.Read(context.Background(), as, "/etc/passwd", 10); err == nil {
				t.Errorf("%v: the pool did not refuse", as)
			}
		}
		if _, err := p.spawn(context.Background(), as); err == nil || !strings.Contains(err.Error(), "refuses") {
			t.Errorf("%v: the broker did not refuse: %v", as, err)
		}
	}
	if err := Child(context.Background()); os.Geteuid() == 0 && err == nil {
		t.Error("a child worked as root")
	}
}

func TestBrokerEndsOnGarbage(t *testing.T) {
	ours, theirs, err := Sockets()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	ours.Write([]byte("nine byte"))
	if err := (&Broker{}).Serve(theirs); err == nil {
		t.Error("a request of nine bytes was accepted")
	}
}

func TestDirectRefusesOthers(t *testing.T) {
	_, err := Direct{}.Read(context.Background(), Identity{UID: me.UID + 1, GID: 1}, "/etc/passwd", 1)
	var m *mail.Error
	if !errors.As(err, &m) || !m.Temporary() {
		t.Errorf("%v", err)
	}
}

func TestPoolSharesChildren(t *testing.T) {
	needRoot(t)
	p := testPool(t, 2)
	pid := func(as Identity) string {
		out, err := p.Run(context.Background(), as, command(t, "echo $PPID"))
		if err != nil {
			t.Error(err)
		}
		return string(out.Output)
	}
	other := Identity{UID: 54329, GID: 54322}
	if a, b := pid(stranger), pid(other); a == b {
		t.Errorf("two users share process %s", a)
	}
	var wait sync.WaitGroup
	for i := range 12 {
		as := stranger
		as.UID += uint32(i % 4)
		wait.Go(func() { pid(as) })
	}
	wait.Wait()
	if n := len(p.slots); n > 2 {
		t.Errorf("%d lanes", n)
	}
}

func TestPoolSurvivesDeadChild(t *testing.T) {
	needRoot(t)
	p := testPool(t, 1)
	_, err := p.Run(context.Background(), stranger, command(t, "kill -9 $PPID; sleep 1"))
	var m *mail.Error
	if !errors.As(err, &m) || m.Code != "4.3.0" {
		t.Errorf("%v", err)
	}
	if _, err := p.Run(context.Background(), stranger, command(t, "true")); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestPoolCancelKillsCommand(t *testing.T) {
	needRoot(t)
	p := testPool(t, 1)
	dir := t.TempDir()
	open(t, dir, stranger)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(dir + "/begun"); err == nil {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if _, err := p.Run(ctx, stranger, command(t, "echo $$ > "+dir+"/pid; mv "+dir+"/pid "+dir+"/begun; sleep 600")); err == nil {
		t.Error("no error")
	}
	data, _ := os.ReadFile(dir + "/begun")
	pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	deadline := time.Now().Add(10 * time.Second)
	for pid > 0 && syscall.Kill(pid, 0) == nil && time.Now().Before(deadline) {
		if st, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && strings.Contains(string(st), ") Z ") {
			return // dead; whoever adopted it has not asked yet
		}
		time.Sleep(5 * time.Millisecond)
	}
	if pid == 0 || syscall.Kill(pid, 0) == nil {
		t.Errorf("command %d lives on", pid)
	}
}

func TestCommandOutcomes(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"exit 0", "2.0.0 ok"},
		{"cat > /dev/null", "2.0.0 ok"},
		{"exit 67", "5.1.1 user unknown"},
		{"echo oops; exit 75", "4.3.0 temporary failure. Command output: oops "},
		{"exit 3", `5.3.0 Command died with status 3: "exit 3"`},
		{"kill -9 $$", `4.3.0 Command died with signal 9: "kill -9 $$"`},
		{"echo 5.7.1 Not today; exit 1", "5.7.1 Not today "},
		{"echo 4.2.2 Full; exit 67", "4.2.2 Full "},
		{"/nonexistent/prog", "4.3.0 temporary failure. Command output: local: fatal: execvp /nonexistent/prog: No such file or directory"},
		{`printf 'a\001\nb'; exit 77`, "5.7.0 permission denied. Command output: a_ b"},
	} {
		cmd := command(t, c.line)
		out, err := Direct{}.Run(context.Background(), me, cmd)
		st := out.Status(c.line, "ok")
		if err != nil || st.Code+" "+st.Reason != c.want {
			t.Errorf("%s: %s %s, %v, want %s", c.line, st.Code, st.Reason, err, c.want)
		}
		if (st.Code[0] == '4') != (st.Action == mail.Deferred) {
			t.Errorf("%s: action %v", c.line, st.Action)
		}
	}
}

func TestTimeLimitKillsGroup(t *testing.T) {
	c := command(t, "sleep 600 & sleep 600")
	c.Limit = 200 * time.Millisecond
	start := time.Now()
	out, err := Direct{}.Run(context.Background(), me, c)
	if err != nil || !out.TimedOut {
		t.Errorf("%+v, %v", out, err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if st := out.Status(c.Line, ""); st.Code != "5.3.0" || st.Reason != `Command time limit exceeded: "sleep 600 & sleep 600"` {
		t.Errorf("%+v", st)
	}
}

func TestBrokenMessageDoesNotReachTheCommandWhole(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "done")
	c := command(t, "cat > /dev/null; touch "+marker)
	c.Message.Content.Digest ^= 1
	_, err := Direct{}.Run(context.Background(), me, c)
	var m *mail.Error
	if !errors.As(err, &m) || m.Code != "4.3.0" {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("the command took a damaged message for a whole one")
	}
}

// Security catalogue F1: a shell sees only what the administrator wrote.
func TestShellOnlyWhenNeeded(t *testing.T) {
	env := []string{CommandPath}
	for line, shell := range map[string]bool{
		"/bin/echo a b":         false,
		"cat -n":                false,
		"/bin/echo $HOME":       true,
		"/bin/echo a; true":     true,
		"exit 67":               true,
		"no-such-program-at-al": true,
		"/bin/echo 'a'":         true,
	} {
		c := Command{Line: line, Env: env}
		if path, argv := c.argv(); (path == "/bin/sh") != shell || (argv[0] == "sh") != shell {
			t.Errorf("%q: %s %q", line, path, argv)
		}
	}
	c := Command{Line: "a | b", Shell: "/bin/rsh -c"}
	if path, argv := c.argv(); path != "" || strings.Join(argv, "/") != "/bin/rsh/-c/a | b" {
		t.Errorf("%s %q", path, argv)
	}
}

// Security catalogue A14: an empty argument keeps its place.
func TestEmptyArgumentsStay(t *testing.T) {
	c := command(t, "")
	c.Argv = []string{"/usr/bin/printf", "[%s]", "", "x", ""}
	out, err := Direct{}.Run(context.Background(), me, c)
	if err != nil || string(out.Output) != "[][x][]" {
		t.Errorf("%q, %v", out.Output, err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	out, err := Direct{}.Run(context.Background(), me, command(t, "head -c 1000000 /dev/zero | tr '\\0' x; exit 1"))
	if err != nil || len(out.Output) != MaxOutput || out.Exit != 1 {
		t.Errorf("%d bytes, exit %d, %v", len(out.Output), out.Exit, err)
	}
}

func TestAccounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	os.WriteFile(path, []byte("# comment\nroot:x:0:0::/root:/bin/sh\n+::::::\nbad:x:z:0::/:\nann:x:1001:1002:Ann,,:/home/ann:/bin/zsh\n"), 0o644)
	p := PasswdFile{Path: path}
	a, ok, err := p.ByName(context.Background(), "ann")
	if want := (Account{"ann", Identity{1001, 1002}, "/home/ann", "/bin/zsh"}); a != want || !ok || err != nil {
		t.Errorf("%+v, %v, %v", a, ok, err)
	}
	for _, name := range []string{"", "bad", "an", "ann:x", "+", "Ann", "-v"} {
		if _, ok, err := p.ByName(context.Background(), name); ok || err != nil {
			t.Errorf("%q: %v, %v", name, ok, err)
		}
	}
	if a, ok, _ = p.ByUID(context.Background(), 1001); !ok || a.Name != "ann" {
		t.Errorf("by uid: %+v", a)
	}
	if _, _, err := (PasswdFile{Path: path + "x"}).ByName(context.Background(), "ann"); err == nil {
		t.Error("a missing file is not an error")
	}
	if u, err := user.Lookup("nobody"); err == nil {
		if a, ok, err := SystemAccounts().ByName(context.Background(), "nobody"); !ok || err != nil || strconv.Itoa(int(a.ID.UID)) != u.Uid {
			t.Errorf("nobody: %+v, %v", a, err)
		}
		if _, ok, err := SystemAccounts().ByName(context.Background(), "no-such-user-here"); ok || err != nil {
			t.Errorf("no such user: %v, %v", ok, err)
		}
	}
}

func TestExported(t *testing.T) {
	p := Params{ExportEnvironment: []string{"TZ", "NONE", "A=b", "{ C = d e }", "PATH=/evil"}}
	got := p.Exported(func(name string) (string, bool) { return "UTC", name == "TZ" })
	if want := "TZ=UTC A=b C=d e"; strings.Join(got, " ") != want {
		t.Errorf("%q", got)
	}
}

func TestCodec(t *testing.T) {
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := Command{Argv: []string{"a", ""}, Line: "l\xff\n", Shell: "s", Env: []string{"E=1"}, Dir: "/", Limit: time.Minute,
		Message: mailbox.Message{Sender: "\xfe@x", Original: "o", Delivered: "d", Arrived: time.Unix(5, 0),
			Content: record.Content{File: f, Offset: 3, Length: 4, Digest: 1<<32 - 1, Summed: true}},
		Format: mailbox.Format{FromLine: true, BlankLine: true, EndOfLine: "\r\n"}}
	r, err := decodeRequest((&request{op: opRun, command: c}).encode(), f)
	if err != nil || fmt.Sprintf("%+v", r.command) != fmt.Sprintf("%+v", c) {
		t.Errorf("%+v, %v", r, err)
	}
	d := Delivery{Path: "/p", Message: c.Message, Options: mailbox.Options{MaxSize: 9, Locks: []mailbox.Lock{"flock"},
		Attempts: 2, Delay: 3, Stale: 4, StrictOwner: true, SoftDotlock: true, Hostname: "h", Code: "4.2.0"}}
	if r, err = decodeRequest((&request{op: opDeliver, delivery: d}).encode(), f); err != nil || fmt.Sprintf("%+v", r.delivery) != fmt.Sprintf("%+v", d) {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err = decodeRequest((&request{op: opDeliver, delivery: d}).encode(), nil); err == nil {
		t.Error("a delivery without message was accepted")
	}
	a := reply{err: &mail.Error{Reply: 450, Code: "4.2.0", Text: "t"}, warnings: mailbox.Warnings{"w"},
		outcome: Outcome{Exit: -1, Signal: 9, TimedOut: true, Output: []byte("o")},
		file:    mailbox.File{Data: []byte("d"), Mode: 0o100644, UID: 1, GID: 2, Found: true, Whole: true}}
	if b, err := decodeReply(a.encode()); err != nil || fmt.Sprintf("%+v", *b.err) != fmt.Sprintf("%+v", *a.err) || b.file.Mode != a.file.Mode || string(b.outcome.Output) != "o" {
		t.Errorf("%+v, %v", b, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add((&request{op: opRead, path: "/x", limit: 5}).encode())
	f.Add((&request{op: opRun, command: Command{Line: "x"}}).encode())
	f.Add((&reply{err: &mail.Error{Reply: 450, Code: "4.2.0"}}).encode())
	f.Add([]byte{0x88, 0x01, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, frame []byte) {
		// What is understood is understood in the same way when it is passed on.
		if r, err := decodeRequest(frame, os.Stdin); err == nil {
			once := r.encode()
			if again, err := decodeRequest(once, os.Stdin); err != nil || !bytes.Equal(again.encode(), once) {
				t.Errorf("request %+v became %+v, %v", r, again, err)
			}
		}
		if r, err := decodeReply(frame); err == nil {
			once := r.encode()
			if again, err := decodeReply(once); err != nil || !bytes.Equal(again.encode(), once) {
				t.Errorf("reply %+v became %+v, %v", r, again, err)
			}
		}
	})
}
