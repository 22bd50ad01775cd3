package fault

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"posthaste/test/harness"
	"posthaste/test/peer"
	"posthaste/test/process"
)

// limit bounds the descriptors of the processes of a role; what they have above
// that they keep.
func (s *site) limit(role string, n uint64) {
	for _, pid := range s.role(role) {
		// In the name of the process's user: that is allowed everywhere.
		prlimit := exec.Command("prlimit", fmt.Sprintf("--nofile=%d:%d", n, n), "--pid", fmt.Sprint(pid))
		if uid, gid := owner(pid); os.Geteuid() == 0 {
			prlimit.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
		}
		if out, err := prlimit.CombinedOutput(); err != nil {
			s.t.Fatalf("prlimit: %v: %s", err, out)
		}
	}
}

// owner is the user and the group that a process runs as.
func owner(pid int) (uid, gid uint32) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "Uid: %d", &uid)
		fmt.Sscanf(line, "Gid: %d", &gid)
	}
	return uid, gid
}

// Clients take all descriptors of the server. It waits for one to come free,
// without a busy loop, those who are connected are answered, and when clients
// leave others are served, by the same process.
func TestServerWithoutDescriptors(t *testing.T) {
	for _, n := range []uint64{64, 256} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			tool(t, "prlimit")
			s := begin(t, setup{main: "default_process_limit = 1000\n"})
			s.calm(12)
			pid := s.role("inbound")[0]
			s.limit("inbound", n)
			var idle []*peer.Client
			for range n + 20 {
				c, err := peer.Connect(s.Addr(), replyLimit)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				idle = append(idle, c)
			}
			s.until("a failure to accept", func() bool { return s.logged("too many open files") > 0 })
			start, before := time.Now(), s.cpu(pid)
			reply, err := s.transaction(idle[0])
			if err != nil || reply[0] != '4' && reply[0] != '2' {
				t.Errorf("a client who is connected: %q %v", reply, err)
			}
			time.Sleep(1500 * time.Millisecond) // what is measured
			if used := s.cpu(pid) - before; used > time.Since(start)/20 {
				t.Errorf("%s of processor time in %s", used, time.Since(start))
			}
			if lines := s.logged("too many open files"); lines > 5 {
				t.Errorf("%d lines in the log", lines)
			}
			for _, c := range idle {
				c.Close()
			}
			if r := s.burst(24, 8, 2000); !r.all() {
				t.Errorf("when there are descriptors again: %+v", r)
			}
			if now := s.role("inbound")[0]; now != pid {
				t.Errorf("process %d was replaced by %d", pid, now)
			}
			s.close()
		})
	}
}

// transaction speaks as far as the first recipient and returns the last reply.
func (s *site) transaction(c *peer.Client) (reply string, err error) {
	for _, command := range []string{"", "EHLO idle.example.test\r\n", "MAIL FROM:<idle@idle.example.test>\r\n", "RCPT TO:<user@sink.example.test>\r\n"} {
		c.Write([]byte(command))
		if reply, err = c.Reply(); err != nil || reply[0] != '2' {
			return reply, err
		}
	}
	return reply, nil
}

func (s *site) cpu(pid int) time.Duration {
	d, err := process.CPU(pid)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// The whole system may have few descriptors for much mail: everything that was
// accepted is delivered, once, and nothing else than waiting comes of it.
func TestSystemWithFewDescriptors(t *testing.T) {
	for _, n := range []int{64, 256} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			s := begin(t, setup{bin: limited(t, n), main: "default_destination_concurrency_limit = 100\ninitial_destination_concurrency = 100\n"})
			s.calm(12)
			s.down(true)
			for range 5 {
				if r := s.burst(48, 8, 2000); !r.all() {
					t.Fatalf("while the sink is down: %+v", r)
				}
			}
			pids := process.Tree(s.MasterPID())
			s.down(false)
			s.flush()
			if r := s.burst(120, 30, 2000); r.lost+r.unserved > 0 || r.refusals() > 0 && !r.only("451 4.3.0", "452 4.3.1") {
				t.Errorf("%+v", r)
			}
			if err := s.empty(patience); err != nil {
				t.Error(err)
			}
			for _, pid := range pids {
				if words := process.Command(pid); len(words) == 0 {
					t.Errorf("process %d has ended", pid)
				}
			}
			if lines := s.logged("too many open files"); lines > 50 {
				t.Errorf("%d lines in the log", lines)
			}
			if c := s.close(); c.Dup > 0 {
				t.Errorf("%d deliveries were repeated", c.Dup)
			}
		})
	}
}

// limited makes a directory with our programs, of which postfix starts the system
// with few descriptors.
func limited(t *testing.T, n int) (dir string) {
	dir = t.TempDir()
	programs, err := filepath.Glob(filepath.Join(harness.Binaries(), "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		if name := filepath.Base(p); name != "postfix" {
			if err := os.Symlink(p, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d && exec %s/postfix \"$@\"\n", n, harness.Binaries())
	if err := os.WriteFile(filepath.Join(dir, "postfix"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
