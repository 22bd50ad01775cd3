package run

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"posthaste/internal/system/spec"
)

func (s *system) log() string {
	data, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(data)
}

// reload puts lines at the ends of main.cf and master.cf and waits until a
// generation with them has taken over.
func (s *system) reload(main, master string) {
	s.t.Helper()
	for name, text := range map[string]string{"main.cf": main, "master.cf": master} {
		path := filepath.Join(s.dir, name)
		old, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, append(old, text...), 0o644)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	done := func() int { return strings.Count(s.log(), ": reload -- version ") }
	before := done()
	s.cmd.Process.Signal(syscall.SIGHUP)
	s.until("reload", func() bool { return done() > before })
}

// child waits for a process of a role.
func (s *system) child(role spec.Role) (pid int) {
	s.t.Helper()
	s.until("process "+string(role), func() bool { pid = s.children()[role]; return pid != 0 })
	return pid
}

// client is an SMTP session.
type client struct{ *textproto.Conn }

func (s *system) connect() (client, error) {
	c, err := net.DialTimeout("tcp", s.addr, 30*time.Second)
	if err != nil {
		return client{}, err
	}
	c.SetDeadline(time.Now().Add(5 * time.Minute))
	session := client{textproto.NewConn(c)}
	return session, session.replies("220", "HELO client.test", "250")
}

// replies reads a reply, and then says lines and reads their replies, each of
// which must begin as given.
func (c client) replies(want string, more ...string) error {
	for {
		line, err := c.ReadLine()
		if err != nil || !strings.HasPrefix(line, want) {
			return fmt.Errorf("%q, want %s: %w", line, want, err)
		}
		if len(more) == 0 {
			return nil
		}
		if err := c.PrintfLine("%s", more[0]); err != nil {
			return err
		}
		want, more = more[1], more[2:]
	}
}

// send sends a message; nil: it was taken.
func (c client) send(subject, to string) error {
	if err := c.PrintfLine("MAIL FROM:<bob@example.test>"); err != nil {
		return err
	}
	return c.replies("250", "RCPT TO:<"+to+">", "250", "DATA", "354",
		"Subject: "+subject+"\r\n\r\ntext\r\n.", "250 2.0.0 Ok: queued as ")
}

func (c client) quit() error {
	if err := c.PrintfLine("QUIT"); err != nil {
		return err
	}
	return c.replies("221")
}

// subjects are those of all messages in Bob's mailbox.
func (s *system) subjects() (list []string) {
	names, _ := filepath.Glob(s.dir + "/mail/bob/new/*")
	for _, n := range names {
		data, _ := os.ReadFile(n)
		_, rest, _ := strings.Cut(string(data), "\nSubject: ")
		subject, _, _ := strings.Cut(rest, "\n")
		list = append(list, subject)
	}
	slices.Sort(list)
	return list
}

// One reload after the other, under load: nobody is refused or told to come
// again, and what was taken arrives once. A session that outlives all of them has
// its mail delivered, and at once.
func TestReloads(t *testing.T) {
	t.Parallel()
	s := newRunning(t)
	old, err := s.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	var (
		mu    sync.Mutex
		taken []string
		wg    sync.WaitGroup
	)
	took := func(subject string) {
		mu.Lock()
		defer mu.Unlock()
		taken = append(taken, subject)
	}
	stop := make(chan bool)
	for i := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				c, err := s.connect()
				for k := 0; k < 3 && err == nil; k++ {
					subject := fmt.Sprintf("load %d.%d.%d", i, n, k)
					if err = c.send(subject, "bob@example.test"); err == nil {
						took(subject)
					}
				}
				if err == nil {
					err = c.quit()
				}
				if err != nil {
					t.Errorf("session %d of client %d: %v", n, i, err)
					return
				}
				c.Close()
			}
		})
	}
	for i := range 8 {
		s.reload("", "")
		subject := fmt.Sprintf("old %d.", i)
		if err := old.send(subject, "bob@example.test"); err != nil {
			t.Errorf("old session after reload %d: %v", i, err)
			break
		}
		took(subject)
		s.mailbox("Subject: " + subject)
	}
	close(stop)
	wg.Wait()
	slices.Sort(taken)
	s.until(fmt.Sprintf("%d messages", len(taken)), func() bool { return len(s.subjects()) >= len(taken) })
	s.until("empty queue", func() bool { return s.showq()["queue_id"] == "" })
	if got := s.subjects(); !slices.Equal(got, taken) {
		t.Errorf("%d messages were taken, %d have arrived", len(taken), len(got))
	}
	if err := old.quit(); err != nil {
		t.Error(err)
	}
	t.Logf("%d messages", len(taken))
}

// smtpServer is an SMTP server that answers the end of a message when the test says.
type smtpServer struct {
	addr  string
	ended chan ending
}

// ending is a message that waits for its reply.
type ending struct {
	subject string
	reply   chan<- string
}

func newServer(t *testing.T) *smtpServer {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	srv := &smtpServer{l.Addr().String(), make(chan ending, 16)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go srv.serve(c)
		}
	}()
	return srv
}

func (srv *smtpServer) serve(c net.Conn) {
	defer c.Close()
	io.WriteString(c, "220 server.test\r\n")
	subject, content := "", false
	for in := bufio.NewScanner(c); in.Scan(); {
		line, reply := in.Text(), "250 Ok"
		switch {
		case content && line != ".":
			if text, found := strings.CutPrefix(line, "Subject: "); found {
				subject = text
			}
			continue
		case content:
			content = false
			decided := make(chan string)
			srv.ended <- ending{subject, decided}
			reply = <-decided
		case line == "DATA":
			content, reply = true, "354 go on"
		case line == "QUIT":
			return
		}
		io.WriteString(c, reply+"\r\n")
	}
}

// A queue process that is replaced keeps what is being delivered, leaves the rest
// to its successor, and tells it, also of the notices that it still makes.
func TestReloadWithDeliveriesInHand(t *testing.T) {
	t.Parallel()
	s, srv := newRunning(t), newServer(t)
	_, port, _ := net.SplitHostPort(srv.addr)
	first := s.child(spec.Queue)
	s.reload("transport_maps = inline:{ {slow.test=slow:[127.0.0.1]:"+port+"} }\n", "slow unix - - n - 2 smtp\n")
	s.until("end of the first queue process", func() bool { return syscall.Kill(first, 0) != nil })
	before := s.child(spec.Queue)
	next := func() ending {
		t.Helper()
		select {
		case e := <-srv.ended:
			return e
		case <-time.After(time.Minute):
			t.Fatalf("no delivery; log:\n%s", s.log())
			return ending{}
		}
	}
	send := func(subject string) {
		t.Helper()
		if err := s.send(subject, subject+"@slow.test"); err != nil {
			t.Fatal(err)
		}
	}
	send("a")
	send("b")
	inHand := map[string]chan<- string{}
	for range 2 {
		e := next()
		inHand[e.subject] = e.reply
	}
	send("c") // waits for its turn, claimed
	s.until("message c in active", func() bool { return strings.Count(s.log(), "(queue active)") == 3 })
	s.reload("", "")
	if e := next(); e.subject != "c" {
		t.Fatalf("delivery of %q, want the message that waited", e.subject)
	} else {
		e.reply <- "250 Ok"
	}
	inHand["a"] <- "550 no such user"
	if m := s.mailbox("Undelivered Mail Returned to Sender"); !strings.Contains(m, "no such user") {
		t.Errorf("notice: %s", m)
	}
	if syscall.Kill(before, 0) != nil {
		t.Error("the queue process has left, with a message in hand")
	}
	inHand["b"] <- "250 Ok"
	s.until("end of the old queue process", func() bool { return syscall.Kill(before, 0) != nil })
	s.until("empty queue", func() bool { return s.showq()["queue_id"] == "" })
	if n := strings.Count(s.log(), "status=sent (250 Ok"); n != 2 {
		t.Errorf("%d deliveries; log:\n%s", n, s.log())
	}
}
