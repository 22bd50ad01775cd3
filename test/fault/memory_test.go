package fault

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"posthaste/test/inject"
	"posthaste/test/peer"
	"posthaste/test/process"
	"posthaste/test/traffic"
)

// Many clients are in the middle of large headers at the same time, more than the
// server keeps of a header. What it holds of each is bounded, and when they leave
// mail goes on.
func TestManyLargeHeaders(t *testing.T) {
	t.Parallel()
	const clients, header = 500, 400_000
	s := begin(t, setup{main: "default_process_limit = 2000\n"})
	s.calm(12)
	pid := s.role("inbound")[0]
	before := process.PSS(pid)
	lines := bytes.Repeat([]byte("X-Filler: "+string(bytes.Repeat([]byte("x"), 86))+"\r\n"), header/98)
	var mu sync.Mutex
	var open []*peer.Client
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			c, err := peer.Connect(s.Addr(), patience)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			if reply, err := s.transaction(c); err != nil || reply[0] != '2' {
				t.Errorf("client %d: %q %v", n, reply, err)
				return
			}
			c.Write([]byte("DATA\r\n"))
			if reply, err := c.Reply(); err != nil || reply[0] != '3' {
				t.Errorf("client %d: %q %v", n, reply, err)
			}
			if _, err := c.Write(lines); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	each := (process.PSS(pid) - before) * 1024 / clients
	t.Logf("%d clients with %d bytes of header each: %.0f KiB each", clients, header, each)
	if each > 500 { // header_size_limit is 100 KiB
		t.Errorf("%.0f KiB for each client", each)
	}
	for _, c := range open {
		c.Close()
	}
	if r := s.burst(24, 8, 2000); !r.all() {
		t.Errorf("afterwards: %+v", r)
	}
	if now := s.role("inbound")[0]; now != pid {
		t.Errorf("process %d was replaced by %d", pid, now)
	}
	s.close()
}

// One message has very many recipients. It is delivered to each of them once, and
// the queue holds a bounded number of them in memory.
func TestManyRecipients(t *testing.T) {
	t.Parallel()
	const count = 50_000
	s := begin(t, setup{main: "smtpd_recipient_limit = 100000\nqmgr_message_recipient_limit = 5000\n"})
	s.calm(12)
	pid := s.role("queue")[0]
	before := process.PSS(pid)
	to := make([]string, count)
	for n := range to {
		to[n] = fmt.Sprintf("user%d@%s", n, traffic.SinkDomain)
	}
	c := inject.Open(s.Addr(), patience)
	if c == nil {
		t.Fatal("no connection")
	}
	defer c.Quit()
	arrived := s.books.Arrived()
	if !c.Send(s.books, s.books.Send("sender@injector.example.test", 2000, to...)) {
		t.Fatal("the message was refused")
	}
	most := 0.0
	s.until("all deliveries", func() bool {
		most = max(most, process.PSS(pid)-before)
		return s.books.Arrived()-arrived >= count
	})
	t.Logf("%d recipients took %.0f MiB at the most", count, most)
	if most > 100 {
		t.Errorf("%.0f MiB", most)
	}
	if c := s.close(); c.Dup > 0 {
		t.Errorf("%d deliveries were repeated", c.Dup)
	}
}
