// Package fault tests what becomes of mail, and of the clients that wait for
// replies, when a mail system lacks something: room, a disk that works, time,
// descriptors, memory, peers that behave. Everything is booked in a ledger:
// nothing is lost, garbled, bounced, or delivered although it was refused; and
// when what was lacking is there again, service goes on by itself. The real
// Postfix under the same fault is the anchor, where it is cheap.
package fault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"posthaste/test/disk"
	"posthaste/test/harness"
	"posthaste/test/inject"
	"posthaste/test/isolate"
	"posthaste/test/ledger"
	"posthaste/test/process"
	"posthaste/test/traffic"
)

// The tests mount file systems, which go away with the name spaces.
func TestMain(m *testing.M) { isolate.Run(m.Run) }

const (
	// replyLimit is how long a client waits for any reply.
	replyLimit = 5 * time.Second
	// slack is how long it may take from a sink's 250 to the mark.
	slack = 2 * time.Second
	// patience is how long a queue may take to become empty.
	patience = 30 * time.Second
)

// setup is what a site is made from.
type setup struct {
	system harness.System                // empty: ours
	bin    string                        // directory of our programs; empty: where they are
	main   string                        // lines for main.cf
	mounts func(*harness.Instance) error // makes what is mounted; before the start
	files  map[string]string             // as harness.Config has it
}

// site is a running system with its books and a sink.
type site struct {
	*harness.Instance
	t      *testing.T
	books  *ledger.Ledger
	sink   *traffic.Sink
	next   int // number of the next burst
	copies int // of the queue that were made
	// renamed: messages have other queue ids than their senders were told
	renamed bool
	// wait is how long senders wait for a reply; 0: replyLimit
	wait time.Duration
	// others is how long clients that send nothing may wait for a reply
	others time.Duration
	// gaveUp is since when what was in hand may have been given up at a stop
	gaveUp time.Time
}

// main keeps restarts of throttled parts short.
const mainCF = traffic.Main + `transport_retry_time = 1s
virtual_mailbox_limit = 0
mailbox_size_limit = 0
`

// root skips where a test cannot do without.
func root(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can do this")
	}
}

// tool skips where a program is missing.
func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIPPED: %s is not installed", name)
	}
}

// begin starts a site, and ends it with the test.
func begin(t *testing.T, with setup) *site {
	t.Helper()
	if with.system == "" {
		with.system = harness.Ours
	}
	if _, err := os.Stat(filepath.Join(harness.Binaries(), "posthaste")); err != nil && with.system == harness.Ours {
		t.Skip("SKIPPED: no programs: make build first")
	}
	books := ledger.New("fault")
	sink, err := traffic.NewSink(books.Delivered, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Close)
	i, err := harness.New(harness.Config{System: with.system, Bin: with.bin, Main: mainCF + with.main, Values: sink.Values(), Files: with.files})
	if errors.Is(err, harness.ErrUnavailable) {
		t.Skip("SKIPPED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Instance: i, t: t, books: books, sink: sink}
	t.Cleanup(s.end)
	if with.mounts != nil {
		err = with.mounts(i)
	}
	if errors.Is(err, disk.ErrNoDevice) {
		t.Skip("SKIPPED: ", err)
	}
	if err == nil {
		err = i.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// end stops the system and removes everything.
func (s *site) end() {
	if s.t.Failed() {
		s.t.Logf("%s\n%s", s.Dir, tail(s.LogText(), 4000))
	}
	err := s.Halt()
	for _, dir := range mounted(s.Dir) {
		err = errors.Join(err, disk.Unmount(dir))
	}
	if err = errors.Join(err, s.Stop()); err != nil {
		s.t.Error(err)
	}
}

func mounts() string {
	text, _ := os.ReadFile("/proc/self/mounts")
	return string(text)
}

// mounted are the mount points below a directory, the last one first.
func mounted(dir string) (points []string) {
	for line := range strings.Lines(mounts()) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], dir+"/") {
			points = append([]string{f[1]}, points...)
		}
	}
	return points
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }

// replies are what the clients of a burst were told.
type replies struct {
	acked    int
	refused  map[string]int // by code
	lost     int            // connections that broke, or a reply that did not come in time
	unserved int            // no connection, or no greeting in time
	slowest  time.Duration  // message, from the connection to the last reply
}

func (r replies) refusals() (n int) {
	for _, c := range r.refused {
		n += c
	}
	return n
}

// only tells whether every client had its replies, and whoever was refused one
// of the codes.
func (r replies) only(codes ...string) bool {
	n := 0
	for _, c := range codes {
		n += r.refused[c]
	}
	return r.lost == 0 && r.unserved == 0 && n == r.refusals() && n > 0
}

// all tells whether every message was acknowledged.
func (r replies) all() bool {
	return r.acked > 0 && r.lost == 0 && r.unserved == 0 && len(r.refused) == 0
}

// burst sends messages of a size, each over a connection of its own, some at a
// time: to a mailbox here, to the sink, or to both. Everybody waits for each
// reply as long as replyLimit.
func (s *site) burst(count, sessions, size int) (r replies) {
	before := s.books.Count(false, slack)
	before.Refusals = maps.Clone(before.Refusals)
	lostBefore := lost(before)
	numbers := make(chan int, count)
	for n := range count {
		numbers <- s.next + n
	}
	close(numbers)
	s.next += count
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range sessions {
		wg.Go(func() {
			for n := range numbers {
				start := time.Now()
				acked, served := s.client(n, size)
				mu.Lock()
				r.slowest = max(r.slowest, time.Since(start))
				if acked {
					r.acked++
				}
				if !served {
					r.unserved++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	after := s.books.Count(false, slack)
	r.refused = map[string]int{}
	for code, n := range after.Refusals {
		if n -= before.Refusals[code]; n > 0 {
			r.refused[code] = n
		}
	}
	r.lost = lost(after) - lostBefore
	return r
}

func lost(c ledger.Counters) (n int) {
	for _, k := range c.ConnLost {
		n += k
	}
	return n
}

// client sends one message.
func (s *site) client(n, size int) (acked, served bool) {
	c := inject.Open(s.Addr(), cmp.Or(s.wait, replyLimit))
	if c == nil {
		return false, false
	}
	defer c.Quit()
	return c.Send(s.books, s.books.Send("sender@injector.example.test", size, recipients(n)...)), true
}

// sendApart sends a message that is not in the books.
func (s *site) sendApart(size int, to string) {
	s.t.Helper()
	apart := ledger.New("apart")
	c := inject.Open(s.Addr(), replyLimit)
	if c == nil {
		s.t.Fatal("no connection")
	}
	defer c.Quit()
	if !c.Send(apart, apart.Send("sender@injector.example.test", size, to)) {
		s.t.Fatalf("the message for %s was refused", to)
	}
}

// recipients of message n: every kind in turn.
func recipients(n int) []string {
	here, there := traffic.Box(n/3)+"@"+traffic.BoxDomain, fmt.Sprintf("user%d@%s", n, traffic.SinkDomain)
	return [][]string{{here}, {there}, {here, there}}[n%3]
}

// down lets the sink refuse all mail, also over connections that were kept, or
// take it again.
func (s *site) down(is bool) {
	var reply []string
	if is {
		reply = []string{"451 4.3.2 not now"}
	}
	s.sink.Reply("MAIL", reply...)
}

// flush asks for all deferred mail.
func (s *site) flush() {
	if _, err := s.Run("postqueue", "-f"); err != nil {
		s.t.Error(err)
	}
}

// empty waits until nothing is left in the queue.
func (s *site) empty(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	err := traffic.Drain(s.Instance, limit, ctx.Done(), func(int) {})
	if n, e := ledger.Waiting(s.Spool); err == nil && e == nil && n > 0 {
		err = fmt.Errorf("%d messages are left in the queue", n)
	}
	return err
}

// until waits for something to happen.
func (s *site) until(what string, happened func() bool) {
	s.t.Helper()
	if err := harness.Until(patience, func() error {
		if !happened() {
			return errors.New("timeout")
		}
		return nil
	}); err != nil {
		s.t.Fatalf("waiting for %s: %v", what, err)
	}
}

// logged counts in the log, whatever the case.
func (s *site) logged(text string) int {
	return strings.Count(strings.ToLower(s.LogText()), text)
}

// role finds the processes of a role. The broker's children write to mailboxes;
// without root it is local itself that does.
func (s *site) role(name string) (pids []int) {
	if name == "broker" && os.Geteuid() != 0 {
		name = "local"
	}
	if pids = process.Role(s.MasterPID(), name); name == "broker" {
		pids = append(pids, process.Role(s.MasterPID(), "user")...)
	}
	if len(pids) == 0 {
		s.t.Fatalf("no process is %s", name)
	}
	return pids
}

// close waits for the rest of the mail, stops the system, and judges the books.
// Of ours nothing that must be 0 may be anything else.
func (s *site) close() ledger.Counters {
	s.t.Helper()
	s.down(false)
	s.sink.Set(traffic.Normal)
	if err := s.empty(patience); err != nil {
		s.t.Log(err) // they are counted as stuck
	}
	unfinished, err := traffic.ReadMailboxes(s.books, filepath.Join(s.Dir, "mail"))
	if err = errors.Join(s.Halt(), err, s.books.ReadQueue(s.Spool)); err != nil {
		s.t.Fatal(err)
	}
	deferrals := s.books.ReadLog(s.LogText())
	c := s.books.Count(!s.renamed, slack)
	s.t.Logf("%s: %d recipients acknowledged, %d refused, %d delivered, %d deferrals, %d repeated",
		s.System, c.Acked, c.Refused, c.Delivered, deferrals, c.Dup)
	if s.System != harness.Ours {
		return c
	}
	if c.Bad() || c.Corrupt > 0 || c.Acked == 0 {
		s.t.Errorf("%+v\n%s", c, strings.Join(c.Findings, "\n"))
	}
	if unfinished > 0 {
		s.t.Errorf("%d files are left in tmp of maildirs", unfinished)
	}
	return c
}

// calm wants a site on which nothing failed so far: the control of each fault.
func (s *site) calm(count int) {
	s.t.Helper()
	if r := s.burst(count, 4, 2000); !r.all() {
		s.t.Errorf("with no fault: %+v", r)
	}
	if err := s.empty(patience); err != nil {
		s.t.Error("with no fault: ", err)
	}
	if text := s.LogText(); strings.Contains(text, "status=deferred") || strings.Contains(text, "reject:") {
		s.t.Error("with no fault something was refused or deferred")
	}
	if c := s.books.Count(false, slack); c.Dup > 0 {
		s.t.Errorf("with no fault %d deliveries were repeated", c.Dup)
	}
}
