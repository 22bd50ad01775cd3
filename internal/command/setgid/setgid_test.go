package setgid

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posthaste/internal/queue/record"
)

// site is a configuration and a queue directory for one test.
type site struct {
	dir    string
	env    Env
	stdout bytes.Buffer
	stderr bytes.Buffer
}

func newSite(t *testing.T, settings string) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	for _, d := range []string{"maildrop", "public"} {
		if err := os.MkdirAll(filepath.Join(s.dir, "spool", d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprintf("queue_directory = %[1]s/spool\nmaillog_file = %[1]s/log\n%[2]s\n", s.dir, settings)
	if err := os.WriteFile(filepath.Join(s.dir, "main.cf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(s.dir) // the commands go to the queue directory; this brings us back
	s.env = Env{Stdout: &s.stdout, Stderr: &s.stderr, Getenv: func(string) string { return "" },
		UID: os.Getuid(), EUID: os.Geteuid(), DefaultDir: filepath.Join(s.dir, "default")}
	return s
}

func (s *site) run(f func(Env) int, input string, args ...string) int {
	s.stdout.Reset()
	s.stderr.Reset()
	env := s.env
	env.Stdin = strings.NewReader(input)
	env.Args = append([]string{"command", "-c", s.dir}, args...)
	return f(env)
}

func (s *site) dropped(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "spool", "maildrop", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// rec makes a record with a short payload.
func rec(kind byte, data string) string {
	if len(data) < 0x80 {
		return string([]byte{kind, byte(len(data))}) + data
	}
	return string([]byte{kind, byte(len(data)) | 0x80, byte(len(data) >> 7)}) + data
}

var message = rec('T', "1 1") + rec('A', "rewrite_context=local") + rec('S', "me@a.test") + rec('R', "you@a.test") +
	rec('M', "") + rec('N', "Subject: hi") + rec('N', "") + rec('L', "no line\rend") + rec('N', "\x00") +
	rec('X', "") + rec('R', "too@a.test") + rec('E', "")

const hello = "protocol\x00postdrop_protocol\x00queue_id\x00"

func TestPostdrop(t *testing.T) {
	s := newSite(t, "")
	if code := s.run(Postdrop, message+"behind the end", "-r"); code != 0 {
		t.Fatalf("status %d: %s", code, &s.stderr)
	}
	if out := s.stdout.String(); !strings.HasPrefix(out, hello) || !strings.HasSuffix(out, "\x00\x00status\x000\x00reason\x00\x00\x00") {
		t.Errorf("answer %q", out)
	}
	files := s.dropped(t)
	if len(files) != 1 {
		t.Fatalf("%d files", len(files))
	}
	if st, _ := os.Stat(files[0]); st.Mode().Perm() != 0o744 {
		t.Errorf("mode %o", st.Mode().Perm())
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sub, err := record.ReadSubmission(f, false)
	if err != nil {
		t.Fatal(err)
	}
	if sub.Envelope.Arrival.Unix() < 1e9 {
		t.Errorf("the submitter's time was believed: %s", sub.Envelope.Arrival)
	}
	text, _ := os.ReadFile(files[0])
	if want := message[len(rec('T', "1 1")):]; !strings.HasSuffix(string(text), want) {
		t.Errorf("file is %q", text)
	}
}

// TestPostdropRefuses shows what any user can send: nothing of it stays.
func TestPostdropRefuses(t *testing.T) {
	envelope := rec('S', "me@a.test") + rec('R', "you@a.test")
	content := rec('M', "") + rec('N', "x") + rec('X', "")
	for name, c := range map[string]struct {
		input, want string
		code        int
	}{
		"empty":           {"", hello, 0},
		"broken off":      {message[:len(message)-2], hello, 0},
		"within a record": {message[:20], "malformed input", 1},
		"done recipient":  {envelope + rec('D', "x") + content + rec('E', ""), "unexpected record type: 68", 1},
		"filter":          {envelope + rec('L', "smtp:x") + content + rec('E', ""), "unexpected record type: 76", 1},
		"redirect":        {envelope + rec('>', "x") + content + rec('E', ""), "unexpected record type: 62", 1},
		"pointer":         {envelope + rec('p', "10") + content + rec('E', ""), "unexpected record type: 112", 1},
		"no content":      {envelope + rec('N', "x"), "unexpected record type: 78", 1},
		"no sender":       {rec('R', "a") + content + rec('E', ""), "no sender", 1},
		"long record":     {rec('S', "me") + rec('R', strings.Repeat("x", 3000)), "too long", 1},
		"long length":     {"S\xff\xff\xff\x7f", "too long", 1},
		"text":            {"From: me\nTo: you\n", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "")
			if code := s.run(Postdrop, c.input); code != c.code {
				t.Errorf("status %d: %s", code, &s.stderr)
			}
			if both := s.stdout.String() + s.stderr.String(); !strings.Contains(both, c.want) {
				t.Errorf("said %q", both)
			}
			if files := s.dropped(t); len(files) > 0 {
				t.Errorf("left behind: %s", files)
			}
		})
	}
}

func TestPostdropDropsRecords(t *testing.T) {
	s := newSite(t, "")
	input := rec('A', "sasl_username=root") + rec('A', "trace_flags=256") + rec('A', "encoding=8bit") + rec('S', "me@a.test") +
		rec('F', "a\nb") + rec('R', "x@a.test\r\nSubject: y") + rec('R', "you@a.test") + rec('M', "") + rec('X', "") +
		rec('A', "create_time=1") + rec('R', "a\x00b") + rec('E', "")
	if code := s.run(Postdrop, input); code != 0 {
		t.Fatalf("status %d: %s", code, &s.stderr)
	}
	text, _ := os.ReadFile(s.dropped(t)[0])
	if want := rec('A', "encoding=8bit") + rec('S', "me@a.test") + rec('R', "you@a.test") + rec('M', "") + rec('X', "") + rec('E', ""); !strings.HasSuffix(string(text), want) {
		t.Errorf("file is %q", text)
	}
	if n := strings.Count(s.stderr.String(), "postdrop: warning: uid="); n != 6 {
		t.Errorf("%d warnings: %s", n, &s.stderr)
	}
}

func TestPostdropLimits(t *testing.T) {
	s := newSite(t, "message_size_limit = 100")
	if code := s.run(Postdrop, message); code != 0 || !strings.Contains(s.stdout.String(), "status\x004\x00") {
		t.Errorf("status %d, answer %q", code, &s.stdout)
	}
	if files := s.dropped(t); len(files) > 0 {
		t.Errorf("left behind: %s", files)
	}
	s = newSite(t, "authorized_submit_users = !static:anyone")
	if code := s.run(Postdrop, message); code != 1 || !strings.Contains(s.stderr.String(), "is not allowed to submit mail") {
		t.Errorf("status %d: %s", code, &s.stderr)
	}
	if s.stdout.Len() > 0 {
		t.Errorf("answer %q to somebody who may not submit", &s.stdout)
	}
}

// TestConfigDirectory is the alternate_config_directories rule: with raised
// rights a directory counts only when the administrator has named it.
func TestConfigDirectory(t *testing.T) {
	for _, c := range []struct {
		standard string
		raised   bool
		ok       bool
	}{
		{"", false, true},
		{"", true, false},
		{"alternate_config_directories = /x, @DIR@\n", true, true},
		{"multi_instance_directories = @DIR@\n", true, true},
		{"alternate_config_directories = @DIR@/sub\n", true, false},
	} {
		s := newSite(t, "")
		s.env.Raised = c.raised
		if err := os.MkdirAll(s.env.DefaultDir, 0o755); err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(c.standard, "@DIR@", s.dir)
		if err := os.WriteFile(filepath.Join(s.env.DefaultDir, "main.cf"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		code := s.run(Postdrop, message)
		if refused := strings.Contains(s.stderr.String(), "unauthorized configuration directory name: "+s.dir); refused == c.ok || (code == 0) != c.ok {
			t.Errorf("%+v: status %d: %s", c, code, &s.stderr)
		}
	}
}

func TestPostqueueUsers(t *testing.T) {
	s := newSite(t, "authorized_mailq_users = root\nauthorized_flush_users = root\nmail_owner = root")
	s.env.UID = 1 << 30 // nobody
	for args, want := range map[string]string{
		"-p": "User unknown(1073741824) is not allowed to view the mail queue",
		"-j": "User unknown(1073741824) is not allowed to view the mail queue",
		"-f": "User unknown(1073741824) is not allowed to flush the mail queue",
	} {
		if code := s.run(Postqueue, "", args); code != 69 || !strings.Contains(s.stderr.String(), want) {
			t.Errorf("%s: status %d: %s", args, code, &s.stderr)
		}
	}
	s = newSite(t, "mail_owner = root")
	s.env.UID, s.env.EUID = 1<<30, 1<<30
	if code := s.run(Postqueue, "", "-p"); code != 69 || !strings.Contains(s.stderr.String(), "Queue report unavailable - mail system is down") {
		t.Errorf("status %d: %s", code, &s.stderr)
	}
}

func TestHelp(t *testing.T) {
	s := newSite(t, "")
	for name, f := range map[string]func(Env) int{"postdrop": Postdrop, "postqueue": Postqueue, "postlog": Postlog} {
		if code := s.run(f, "", "--help"); code != 0 || !strings.HasPrefix(s.stdout.String(), "usage: "+name) {
			t.Errorf("%s: status %d: %s", name, code, &s.stdout)
		}
	}
}

func TestPostlog(t *testing.T) {
	s := newSite(t, "myhostname = mx.example.test")
	if code := s.run(Postlog, "one\n\ntwo\x1b[0m\n"+strings.Repeat("x", 5000), "-p", "error", "-t", "me/tool"); code != 0 {
		t.Fatalf("status %d: %s", code, &s.stderr)
	}
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 6 || !strings.Contains(lines[0], " mx me/tool[") || !strings.HasSuffix(lines[0], "]: error: one") ||
		!strings.HasSuffix(lines[2], "two?[0m") {
		t.Errorf("log:\n%s", text)
	}
	if code := s.run(Postlog, "", "-p", "loud", "x"); code != 1 || !strings.Contains(s.stderr.String(), `bad severity: "loud"`) {
		t.Errorf("status %d: %s", code, &s.stderr)
	}
}
