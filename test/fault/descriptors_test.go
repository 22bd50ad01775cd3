package fault

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/test/peer"
	"posthaste/test/process"
)

// limit bounds the descriptors of the processes of a role; what they have above
// that they keep.
func (s *site) limit(role string, n uint64) {
	for _, pid := range s.role(role) {
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}, nil); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Clients take all descriptors of the server. It waits for one to come free,
// without a busy loop, those who are connected are answered, and when clients
// leave others are served, by the same process.
func TestServerWithoutDescriptors(t *testing.T) {
	for _, n := range []uint64{64, 256} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			s := begin(t, setup{})
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

// The processes behind the server have too few descriptors for what they have in
// hand: everything is delivered, once, by those processes and while it is so.
func TestDeliveryWithoutDescriptors(t *testing.T) {
	for _, role := range []string{"queue", "outbound", "local", "broker"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			s := begin(t, setup{main: "default_process_limit = 200\ndefault_destination_concurrency_limit = 100\ninitial_destination_concurrency = 100\n"})
			s.calm(12)
			s.down(true)
			if r := s.burst(240, 20, 2000); !r.all() {
				t.Fatalf("while the sink is down: %+v", r)
			}
			pids := s.role(role)
			s.limit(role, 64)
			s.down(false)
			s.flush()
			if r := s.burst(120, 20, 2000); r.lost+r.unserved > 0 {
				t.Errorf("%+v", r)
			}
			if err := s.empty(patience); err != nil {
				t.Error(err)
			}
			if now := s.role(role); now[0] != pids[0] {
				t.Errorf("processes %v were replaced by %v", pids, now)
			}
			t.Logf("%s: %d lines of too many open files", role, s.logged("too many open files"))
			if c := s.close(); c.Dup > 0 {
				t.Errorf("%d deliveries were repeated", c.Dup)
			}
		})
	}
}
