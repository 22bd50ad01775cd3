package fault

import (
	"errors"
	"testing"
	"time"

	"posthaste/test/harness"
	"posthaste/test/peer"
	"posthaste/test/process"
	"posthaste/test/strace"
)

// syncDelay is how long each sync takes on a slow disk.
const syncDelay = 2 * time.Second

// slowSyncs is the rule by which strace makes a disk slow.
const slowSyncs = "fsync,fdatasync,syncfs:delay_enter=2s"

// slowDisk is a disk that is slow for some.
type slowDisk struct {
	roles []string // none: for all, and for those who are started meanwhile
	held  bool     // senders wait for it
}

var slowDisks = map[string]slowDisk{
	"inbound":   {[]string{"inbound"}, true},
	"queue":     {[]string{"queue"}, false},
	"mailboxes": {[]string{"local", "broker"}, false},
	"all":       {nil, true},
}

// On a slow disk nobody is told 250 before the sync has ended, everybody else is
// served as fast as ever, and what waits for the disk outlives a reload and a
// stop. Senders do not wait for the disks of others.
func TestSlowDisk(t *testing.T) {
	for name, d := range slowDisks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := strace.Available(); err != nil {
				t.Skip("SKIPPED: ", err)
			}
			s := begin(t, setup{})
			s.others = syncDelay * 9 / 10
			s.calm(12)
			pids := process.Tree(s.MasterPID())
			if d.roles != nil {
				pids = nil
				for _, r := range d.roles {
					pids = append(pids, s.role(r)...)
				}
			}
			tracer, err := strace.Attach(pids, []string{slowSyncs})
			if err != nil {
				t.Fatal(err)
			}
			var held time.Duration
			if d.held {
				held = syncDelay
			}
			since := time.Now()
			s.endure(held, d.roles == nil)
			s.stopInHand(since)
			if met := tracer.Changed(); met == 0 {
				t.Error("no sync was slow")
			}
			tracer.Detach() // it may have ended with the system
			s.startAgain()
		})
	}
}

// The same on a disk that is slow itself, with the queue and the mailboxes on it.
func TestSlowDevice(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	s := begin(t, setup{mounts: func(i *harness.Instance) error { return d.mount(i.Spool, i.Dir+"/mail") }})
	s.calm(12)
	// Two flushes make a sync that moves the file system's own journal on.
	since := time.Now()
	d.log.Slow(syncDelay / 2)
	s.others = 6 * syncDelay / 4 // even a look-up may wait for the file system, for one flush
	s.endure(syncDelay/2, true)
	s.stopInHand(since)
	d.log.Slow(0)
	s.startAgain()
}

// endure sends mail while the disk is slow and, if asked, reloads the system in
// the midst of it. held is how long senders must wait at the least; 0: they must
// not wait for a sync.
func (s *site) endure(held time.Duration, reload bool) {
	s.t.Helper()
	s.wait = patience // the end of one sync, and then one's own
	before := s.books.Count(false, slack).Acked
	early := make(chan int)
	go func() {
		time.Sleep(held * 9 / 10)
		early <- s.books.Count(false, slack).Acked - before
	}()
	stop, served, reloaded := make(chan bool), make(chan time.Duration), make(chan error, 1)
	go func() { served <- s.chat(stop) }()
	go func() {
		time.Sleep(syncDelay / 2)
		var err error
		if reload {
			_, err = s.Run("postfix", "reload")
		}
		reloaded <- err
	}()
	r := s.burst(12, 12, 2000)
	if err := <-reloaded; err != nil {
		s.t.Error(err)
	}
	close(stop)
	slowest := <-served
	if n := <-early; held > 0 && n > 0 {
		s.t.Errorf("%d recipients were acknowledged before a sync had ended", n)
	}
	if !r.all() || held > 0 && r.slowest < held || held == 0 && r.slowest > syncDelay {
		s.t.Errorf("%+v", r)
	}
	if slowest > s.others {
		s.t.Errorf("others waited %s for a reply", slowest)
	}
	s.t.Logf("acknowledged after %s at most; others had each reply within %s", r.slowest, slowest)
}

const (
	// givenUp is how long processes let work in hand end after a stop.
	givenUp = 10 * time.Second
	// stopLimit is how long a stop may take: what waits for the disk dies when
	// it is served, also by force.
	stopLimit = 30 * time.Second
)

// stopInHand stops the system while mail comes in. What it has in hand, since the
// disk is slow, may take longer than processes wait: then some of it was delivered
// and is not known to be.
func (s *site) stopInHand(since time.Time) {
	s.t.Helper()
	more := make(chan replies)
	go func() { more <- s.burst(6, 6, 2000) }()
	time.Sleep(syncDelay / 4) // in the midst of it
	start := time.Now()
	if err := s.Halt(); err != nil {
		s.t.Log(err) // `postfix stop` does not wait as long
	}
	if err := harness.Until(time.Until(start.Add(stopLimit)), func() error {
		if s.Running() {
			return errors.New("the system does not stop")
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	took := time.Since(start)
	if took >= givenUp {
		s.gaveUp = since
	}
	s.t.Logf("stopped after %s, with force: %v; meanwhile %+v", took, s.logged("with force") > 0, <-more)
}

// startAgain starts the system on a disk that is fast again, and wants all mail,
// once where nothing was given up.
func (s *site) startAgain() {
	s.t.Helper()
	if err := s.Start(); err != nil {
		s.t.Fatal(err)
	}
	if !s.gaveUp.IsZero() { // who waited for the disk may go on until it is fast
		s.books.Fault("stop", s.gaveUp, time.Now())
	}
	if r := s.burst(6, 6, 2000); !r.all() {
		s.t.Errorf("started again: %+v", r)
	}
	s.close() // it judges repetitions by what was given up
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
			reply, err := c.Reply()
			slowest = max(slowest, time.Since(start))
			if err != nil || reply[0] != '2' {
				s.t.Errorf("%q: %q %v", command, reply, err)
				return replyLimit
			}
			start = time.Now()
		}
		c.Close()
	}
}
