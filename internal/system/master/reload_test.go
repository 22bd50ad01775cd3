package master

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"posthaste/internal/config"
	"posthaste/internal/system/spec"
)

func (s *system) reload() { s.cmd.Process.Signal(syscall.SIGHUP) }

// renew reloads with another name and waits until that generation has taken over.
func (s *system) renew(name string) {
	s.t.Helper()
	done := func() int { return strings.Count(s.log(), ": reload -- version ") }
	before := done()
	s.write(name)
	s.reload()
	s.until(time.Minute, "reload to "+name, func() bool { return done() > before })
}

// session is a connection that stays open.
type session struct {
	s    *system
	t    *testing.T
	c    net.Conn
	in   *bufio.Reader
	pid  int // of the process that serves it
	name string
}

// open begins a session.
func (s *system) open(role spec.Role) *session {
	s.t.Helper()
	c, err := net.DialTimeout("tcp", s.port[role], slow)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	ses := &session{s: s, t: s.t, c: c, in: bufio.NewReader(c)}
	if _, err := fmt.Fscanf(ses.in, string(role)+" %d %s\n", &ses.pid, &ses.name); err != nil {
		s.t.Fatalf("greeting: %v; log:\n%s", err, s.log())
	}
	return ses
}

// openIn begins a session with the generation of that name, as soon as one is
// to be had.
func (s *system) openIn(name string) *session {
	s.t.Helper()
	var ses *session
	s.until(time.Minute, "session of "+name, func() bool {
		ses = s.open(spec.Inbound)
		if ses.name != name {
			ses.c.Close()
		}
		return ses.name == name
	})
	return ses
}

// goesOn tells that nobody has asked the session to end.
func (ses *session) goesOn() {
	ses.t.Helper()
	ses.expect("still here", "still here")
}

func (ses *session) expect(say, want string) {
	ses.t.Helper()
	if say != "" {
		fmt.Fprintln(ses.c, say)
	}
	if line, err := ses.in.ReadString('\n'); line != want+"\n" {
		ses.t.Fatalf("session of %s: %q %v, want %q; log:\n%s", ses.name, line, err, want, ses.s.log())
	}
}

func (s *system) ended(pids ...int) {
	s.t.Helper()
	s.until(time.Minute, fmt.Sprint("end of processes ", pids), func() bool {
		return !slices.ContainsFunc(pids, func(pid int) bool { return !gone(pid) })
	})
}

func TestReload(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	before := s.serves(slow, "one")
	s.logged("daemon started -- version 3.11")
	first := s.openIn("one")
	s.renew("two")
	s.serves(slow, "two")
	// What has nothing in hand leaves, and the session goes on.
	s.ended(before[spec.Queue], before[spec.Outbound], before[spec.Local])
	first.goesOn()

	second := s.openIn("two")
	for name, message := range map[string]string{
		"refused": "mail_name is refused by the check",
		"dies":    "does not start; the old configuration stays in force",
	} {
		s.write(name)
		s.reload()
		s.logged(message)
		s.serves(slow, "two")
	}
	s.write("three", "nonsense")
	s.reload()
	s.logged("bad field count")
	s.serves(slow, "two")
	first.goesOn()
	second.goesOn()
	first.expect("end", "end")
	s.ended(before[spec.Inbound])

	// A row that is new is served, one that is gone is refused.
	was := s.port[spec.Inbound]
	s.port[spec.Inbound] = s.freePort()
	s.write("four")
	s.reload()
	s.serves(slow, "four")
	s.until(slow, "closed port", func() bool {
		c, err := net.Dial("tcp", was)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	second.goesOn()
}

// A generation that does not come up is dropped. Sessions that those of its
// processes had begun that did come up go on like those of the others.
func TestHalfReload(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	s.serves(slow, "one")
	first := s.openIn("one")
	s.write("half") // of which one process is never ready
	s.reload()
	half := s.openIn("half")
	s.openIn("one").expect("end", "end") // it is not told to leave yet
	s.write("two")
	s.reload()
	s.logged("the old configuration stays in force")
	s.serves(slow, "two")
	for _, ses := range []*session{first, half} {
		ses.goesOn()
		ses.expect("end", "end")
	}
	s.ended(first.pid, half.pid)
	// What it has taken in could not be found.
	s.main = "hash_queue_depth = 2\n"
	s.write("half")
	s.reload()
	half = s.openIn("half")
	s.main = ""
	s.write("three")
	s.reload()
	half.expect("", "bye")
	s.serves(slow, "three")
	if text := s.log(); strings.Contains(text, "killed by signal") {
		t.Errorf("log:\n%s", text)
	}
}

// A stop reaches all generations.
func TestStopOld(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{"stop": syscall.SIGTERM, "abort": syscall.SIGQUIT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			s.start()
			s.serves(slow, "one")
			var all []*session
			for _, name := range []string{"one", "two", "three"} {
				if name != "one" {
					s.renew(name)
				}
				all = append(all, s.openIn(name))
			}
			s.serves(slow, "three")
			s.cmd.Process.Signal(sig)
			for _, ses := range all {
				if sig == syscall.SIGTERM {
					ses.expect("", "bye")
					ses.c.Close()
				}
			}
			if err := s.cmd.Wait(); err != nil {
				t.Error(err)
			}
			for _, ses := range all {
				if !gone(ses.pid) {
					t.Errorf("the inbound process of %s still runs", ses.name)
				}
			}
		})
	}
}

// Only so many old generations wait; the oldest is told to end its sessions.
func TestHurryOld(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	s.serves(slow, "one")
	all := []*session{s.openIn("one")}
	for i := range maxOld {
		name := fmt.Sprintf("g%d", i)
		s.renew(name)
		all = append(all, s.openIn(name))
	}
	for _, ses := range all {
		ses.goesOn()
	}
	s.renew("last")
	all[0].expect("", "bye")
	all[0].expect("end", "end")
	s.ended(all[0].pid)
	for _, ses := range all[1:] {
		ses.goesOn()
	}
}

// Old generations are in a hurry when the queue is another one for the new, or
// when they log to a file that was put away.
func TestHurryForTheQueue(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	s.serves(slow, "one")
	first := s.openIn("one")
	s.renew("two")
	second := s.openIn("two")
	s.main = "hash_queue_depth = 2\n"
	s.renew("three")
	third := s.openIn("three")
	first.expect("", "bye")
	second.expect("", "bye")
	third.goesOn()
	if err := os.Rename(filepath.Join(s.dir, "log"), filepath.Join(s.dir, "log.1")); err != nil {
		t.Fatal(err)
	}
	s.write("four")
	s.reload()
	s.openIn("four")
	third.expect("", "bye")
}

func TestSameQueue(t *testing.T) {
	base := config.Common{QueueDirectory: "/q", MailOwner: "postfix", LongQueueIDs: true, HashQueueNames: []string{"a", "b"}, HashQueueDepth: 1}
	for name, c := range map[string]struct {
		change func(*config.Common)
		want   bool
	}{
		"nothing":       {func(c *config.Common) {}, true},
		"another limit": {func(c *config.Common) { c.MessageSizeLimit = 1 }, true},
		"names' order":  {func(c *config.Common) { c.HashQueueNames = []string{"b", "a"} }, true},
		"names":         {func(c *config.Common) { c.HashQueueNames = []string{"a"} }, false},
		"depth":         {func(c *config.Common) { c.HashQueueDepth = 2 }, false},
		"owner":         {func(c *config.Common) { c.MailOwner = "mail" }, false},
		"ids":           {func(c *config.Common) { c.LongQueueIDs = false }, false},
		"directory":     {func(c *config.Common) { c.QueueDirectory = "/r" }, false},
	} {
		other := base
		c.change(&other)
		if got := sameQueue(&base, &other); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
