package fault

import (
	"testing"
	"time"

	"posthaste/test/peer"
	"posthaste/test/strace"
)

// syncDelay is how long each sync takes on a slow disk.
const syncDelay = time.Second

// On a slow disk nobody is told 250 before the sync has ended, and everybody
// else is served as fast as ever.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	if err := strace.Available(); err != nil {
		t.Skip("SKIPPED: ", err)
	}
	s := begin(t, setup{})
	s.calm(12)
	tracer, err := strace.Attach(s.role("inbound"), []string{"fsync,fdatasync:delay_enter=1s"})
	if err != nil {
		t.Fatal(err)
	}
	before := s.books.Count(false, slack).Acked
	stop, served := make(chan bool), make(chan time.Duration)
	go func() { served <- s.chat(stop) }()
	early := make(chan int)
	go func() {
		time.Sleep(syncDelay - 100*time.Millisecond)
		early <- s.books.Count(false, slack).Acked - before
	}()
	r := s.burst(12, 12, 2000)
	close(stop)
	slowest := <-served
	if n := <-early; n > 0 {
		t.Errorf("%d recipients were acknowledged before a sync had ended", n)
	}
	if !r.all() || r.slowest < syncDelay {
		t.Errorf("%+v", r)
	}
	if slowest > syncDelay/2 {
		t.Errorf("others waited %s for a reply", slowest)
	}
	if n, err := tracer.Detach(); err != nil || n == 0 {
		t.Errorf("%d syncs were slow; %v", n, err)
	}
	t.Logf("acknowledged after %s at most; others had each reply within %s", r.slowest, slowest)
	if c := s.close(); c.Dup > 0 {
		t.Errorf("%d deliveries were repeated", c.Dup)
	}
}

// chat speaks with the server over connections of its own, without sending
// anything, and returns the longest time that it waited for a reply.
func (s *site) chat(stop <-chan bool) (slowest time.Duration) {
	for {
		select {
		case <-stop:
			return slowest
		default:
		}
		start := time.Now()
		c, err := peer.Connect(s.Addr(), replyLimit)
		if err != nil {
			return replyLimit
		}
		for _, command := range []string{"", "EHLO chat.example.test\r\n", "MAIL FROM:<chat@chat.example.test>\r\n",
			"RCPT TO:<user@sink.example.test>\r\n", "QUIT\r\n"} {
			c.Write([]byte(command))
			if reply, err := c.Reply(); err != nil || reply[0] != '2' {
				s.t.Errorf("%q: %q %v", command, reply, err)
				return replyLimit
			}
			slowest = max(slowest, time.Since(start))
			start = time.Now()
		}
		c.Close()
	}
}
