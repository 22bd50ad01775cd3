package run

import (
	"bufio"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"posthaste/internal/ipc"
	"posthaste/internal/system/spec"
)

// The test binary is also the program under test: `master` and `child`.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "master":
			os.Exit(MasterMain(os.Args[2:]))
		case "child":
			os.Exit(Child(os.Args[2:], os.Stderr))
		}
	}
	os.Exit(m.Run())
}

// system is a mail system of its own: SMTP in, virtual maildirs, bounces.
type system struct {
	t    *testing.T
	dir  string
	addr string
	cmd  *exec.Cmd
}

func newSystem(t *testing.T) *system {
	s := &system{t: t, dir: t.TempDir()}
	uid, gid := os.Geteuid(), os.Getegid()
	owner, group := strconv.Itoa(uid), strconv.Itoa(gid) // not used without root
	if uid == 0 {
		u, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		g, err := user.LookupGroupId(u.Gid)
		if err != nil {
			t.Fatal(err)
		}
		owner, group = u.Username, g.Name
		uid, _ = strconv.Atoi(u.Uid)
		gid, _ = strconv.Atoi(u.Gid)
		for _, d := range []string{filepath.Dir(s.dir), s.dir} {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	l.Close()
	if err := os.Mkdir(filepath.Join(s.dir, "mail"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(s.dir, "mail"), 0o777); err != nil {
		t.Fatal(err)
	}
	main := fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/q
data_directory = %[1]s/data
mail_owner = %[2]s
setgid_group = %[3]s
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = mx.example.test
mydomain = example.test
myorigin = example.test
inet_protocols = ipv4
mynetworks = 127.0.0.1/32
smtpd_peername_lookup = no
smtpd_reject_unlisted_recipient = no
alias_maps =
mydestination =
virtual_mailbox_domains = example.test
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = inline:{ {bob@example.test=bob/} }
virtual_minimum_uid = 1
virtual_uid_maps = static:%[4]d
virtual_gid_maps = static:%[5]d
transport_maps = inline:{ {gone.test=error:5.1.1 no such place}, {late.test=retry:4.2.2 come back later} }
`, s.dir, owner, group, uid, gid)
	rows := s.addr + ` inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
showq unix n - n - - showq
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
`
	for file, text := range map[string]string{"main.cf": main, "master.cf": rows} {
		if err := os.WriteFile(filepath.Join(s.dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// newRunning starts a system and waits until it serves.
func newRunning(t *testing.T) *system {
	if withCgo() {
		t.Skip("SKIPPED: built with cgo; run with CGO_ENABLED=0")
	}
	s := newSystem(t)
	s.cmd = exec.Command(os.Args[0], "master", "-c", s.dir)
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.cmd.Process.Signal(syscall.SIGTERM)
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("master: %v", err)
		}
	})
	s.until("greeting", func() bool {
		c, err := net.Dial("tcp", s.addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return s
}

// withCgo tells whether this program was built with cgo.
func withCgo() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "1"})
}

// until waits for a condition, and not for ever.
func (s *system) until(what string, f func() bool) {
	s.t.Helper()
	const limit = 30 * time.Second // for a busy machine
	for end := time.Now().Add(limit); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			data, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.t.Fatalf("no %s after %s; log:\n%s", what, limit, data)
		}
	}
}

// send sends a message and returns the error of the dialogue.
func (s *system) send(subject string, to ...string) error {
	return smtp.SendMail(s.addr, nil, "bob@example.test", to, []byte("Subject: "+subject+"\r\n\r\n.text\r\n"))
}

// mailbox waits until Bob has a message with this text, and returns it.
func (s *system) mailbox(text string) string {
	s.t.Helper()
	var found string
	s.until("message with "+text, func() bool {
		names, _ := filepath.Glob(s.dir + "/mail/bob/new/*")
		for _, n := range names {
			data, _ := os.ReadFile(n)
			if found = string(data); strings.Contains(found, text) {
				return true
			}
		}
		return false
	})
	return found
}

func TestMailFlow(t *testing.T) {
	t.Parallel()
	s := newRunning(t)
	if err := s.send("first", "bob@example.test"); err != nil {
		t.Fatal(err)
	}
	if m := s.mailbox("Subject: first"); !strings.Contains(m, "Delivered-To: bob@example.test") || !strings.Contains(m, "\n.text\n") {
		t.Errorf("message: %s", m)
	}
	// What cannot be delivered comes back.
	if err := s.send("second", "alice@gone.test"); err != nil {
		t.Fatal(err)
	}
	if m := s.mailbox("Undelivered Mail Returned to Sender"); !strings.Contains(m, "no such place") || !strings.Contains(m, "Status: 5.1.1") {
		t.Errorf("notice: %s", m)
	}
	// What has to wait is listed, with the reason.
	if err := s.send("third", "alice@late.test"); err != nil {
		t.Fatal(err)
	}
	var list map[string]string
	s.until("listing", func() bool {
		list = s.showq()
		return list["queue_name"] == "deferred"
	})
	for name, want := range map[string]string{
		"sender": "bob@example.test", "recipient": "alice@late.test", "forced_expire": "0",
	} {
		if list[name] != want {
			t.Errorf("%s = %q, want %q", name, list[name], want)
		}
	}
	if !strings.Contains(list["reason"], "come back later") {
		t.Errorf("reason = %q", list["reason"])
	}
}

// showq returns the attributes of the first message in the queue.
func (s *system) showq() map[string]string {
	c, err := net.Dial("unix", s.dir+"/q/public/showq")
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	hello, err := ipc.ReadAttributes(in)
	if err != nil || hello["protocol"] != "mail_queue_list_protocol" {
		s.t.Fatalf("%v %v", hello, err)
	}
	list, err := ipc.ReadAttributes(in)
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

// children returns the processes of master by role.
func (s *system) children() map[spec.Role]int {
	out := map[spec.Role]int{}
	var data []byte
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.cmd.Process.Pid)) // one per thread
	if len(lists) == 0 {
		s.t.Skip("SKIPPED: the kernel does not list children")
	}
	for _, path := range lists {
		text, _ := os.ReadFile(path)
		data = append(data, text...)
	}
	for _, word := range strings.Fields(string(data)) {
		line, _ := os.ReadFile("/proc/" + word + "/cmdline")
		pid, _ := strconv.Atoi(word)
		if parts := strings.Split(string(line), "\x00"); len(parts) > 2 {
			out[spec.Role(parts[2])] = pid
		}
	}
	return out
}

// Each process is killed with mail on its way; what was accepted arrives.
func TestCrash(t *testing.T) {
	t.Parallel()
	s := newRunning(t)
	sent := 0
	for round := range 3 {
		for _, role := range []spec.Role{spec.Inbound, spec.Queue, spec.Local, spec.Outbound} {
			var pid int
			s.until("process "+string(role), func() bool { pid = s.children()[role]; return pid != 0 })
			for range 5 {
				if s.send(fmt.Sprintf("before %d;", sent), "bob@example.test") == nil {
					sent++
				}
			}
			syscall.Kill(pid, syscall.SIGKILL)
			begin := time.Now()
			s.until("accepted mail after the end of "+string(role), func() bool {
				return s.send(fmt.Sprintf("before %d;", sent), "bob@example.test") == nil
			})
			sent++
			t.Logf("round %d: mail is accepted %s after the end of %s", round, time.Since(begin), role)
			s.until("new process "+string(role), func() bool { p := s.children()[role]; return p != 0 && p != pid })
		}
	}
	// A delivery whose process died counts as deferred, and waits for its next
	// attempt: ask for that, as `postqueue -f` does.
	s.until("empty queue", func() bool {
		if s.showq()["queue_id"] == "" {
			return true
		}
		if c, err := net.Dial("unix", s.dir+"/q/public/qmgr"); err == nil {
			c.Write([]byte{wishScanAll, wishFlushDead})
			c.Close()
		}
		return false
	})
	for i := range sent {
		s.mailbox(fmt.Sprintf("Subject: before %d;", i))
	}
}
