package setgid

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// other is a user and a group without rights, for tests by root.
const other = 65534

// program builds the program under its three names, setgid to a group that the
// test's user does not have when root runs the test.
func program(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	path := filepath.Join(dir, name)
	build := exec.Command("go", "build", "-o", path, "posthaste/cmd/postdrop")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// raise makes a program setgid and prepares a run of it by another user.
func raise(t *testing.T, name string) func(args ...string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can make a program setgid to another group")
	}
	path := program(t, name)
	if err := os.Chown(path, 0, 2); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command(path, args...)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: other, Gid: other}}
		return cmd
	}
}

// hostile is an environment that an attacker prepares.
var hostile = []string{
	"PATH=/tmp", "IFS=/", "LD_PRELOAD=/tmp/x.so", "LD_LIBRARY_PATH=/tmp", "GODEBUG=gctrace=1,schedtrace=1", "GOTRACEBACK=crash",
	"GOGC=1", "GOMAXPROCS=1", "SSL_CERT_FILE=/tmp/x", "SSLKEYLOGFILE=/tmp/keys", "TZ=../../../tmp/zone", "ENV=/tmp/x",
}

// TestSetgidEnvironment looks at the running program: nothing of a hostile
// environment is left, it dumps no core and its files are nobody else's.
func TestSetgidEnvironment(t *testing.T) {
	run := raise(t, "postlog")
	if _, err := os.Stat("/etc/postfix/main.cf"); err != nil {
		t.Skip("SKIPPED: no mail system is configured here: ", err)
	}
	cmd := run()
	cmd.Env = hostile
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); cmd.Wait() }()
	proc := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	read := func(name string) string { b, _ := os.ReadFile(proc + name); return string(b) }
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(read("status"), "Umask:\t0077") && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if status := read("status"); !strings.Contains(status, "Umask:\t0077") || !strings.Contains(status, "Gid:\t65534\t2\t2\t2") {
		t.Errorf("status:\n%s", status)
	}
	if left := read("environ"); left != "" {
		t.Errorf("environment: %q", left)
	}
	core := strings.Fields(strings.SplitAfter(read("limits"), "Max core file size")[1])
	if core[0] != "0" || core[1] != "0" {
		t.Errorf("core size %v", core[:2])
	}
}

// TestSetgidConfiguration gives the program the attacker's own configuration.
func TestSetgidConfiguration(t *testing.T) {
	run := raise(t, "postdrop")
	dir := t.TempDir()
	os.Chmod(filepath.Dir(dir), 0o755)
	os.Chmod(dir, 0o777)
	text := fmt.Sprintf("queue_directory = %s\nmaillog_file = %s/log\n", dir, dir)
	if err := os.WriteFile(filepath.Join(dir, "main.cf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "maildrop"), 0o777); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Join(dir, "maildrop"), 0o777)
	for _, c := range []struct{ args, env []string }{
		{[]string{"-c", dir}, nil}, {nil, []string{"MAIL_CONFIG=" + dir}}, {[]string{"-c", dir + "/."}, hostile},
	} {
		cmd := run(c.args...)
		cmd.Env, cmd.Stdin = append([]string{"HOME=/"}, c.env...), strings.NewReader(message)
		out, err := cmd.CombinedOutput()
		if err == nil || bytes.Contains(out, []byte("queue_id")) {
			t.Errorf("%v: %v: %s", c, err, out)
		}
	}
	left, _ := filepath.Glob(filepath.Join(dir, "maildrop", "*"))
	if _, err := os.Stat(dir + "/log"); err == nil || len(left) > 0 {
		t.Errorf("written by the attacker's configuration: log %v, %s", err, left)
	}
}

// TestClosedDescriptors starts the program without standard descriptors: no
// file of its own may get one of those numbers, and be written to as output.
func TestClosedDescriptors(t *testing.T) {
	path := program(t, "postdrop")
	s := newSite(t, "")
	shell := exec.Command("/bin/sh", "-c", `exec "$0" -c "$1" <&- >&- 2>&-`, path, s.dir)
	shell.Run() // its status cannot be told: it reads an empty message
	if files := s.dropped(t); len(files) > 0 {
		t.Errorf("left behind: %s", files)
	}
	full := exec.Command("/bin/sh", "-c", `exec "$0" -c "$1" >&- 2>&-`, path, s.dir)
	full.Stdin = strings.NewReader(message)
	full.Run()
	for _, f := range s.dropped(t) {
		text, err := os.ReadFile(f)
		if err != nil || bytes.Contains(text, []byte("queue_id")) || bytes.Contains(text, []byte("warning")) {
			t.Errorf("output in the message: %q %v", text, err)
		}
	}
}

// TestSignal ends the program in the middle of a message: nothing stays.
func TestSignal(t *testing.T) {
	path := program(t, "postdrop")
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		s := newSite(t, "")
		cmd := exec.Command(path, "-c", s.dir)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in.Write([]byte(message[:len(message)-2]))
		if _, err := out.Read(make([]byte, 100)); err != nil { // the file is there
			t.Fatal(err)
		}
		if n := len(s.dropped(t)); n != 1 {
			t.Errorf("%d files", n)
		}
		cmd.Process.Signal(sig)
		cmd.Wait()
		if files := s.dropped(t); len(files) > 0 {
			t.Errorf("%s: left behind: %s", sig, files)
		}
	}
}
