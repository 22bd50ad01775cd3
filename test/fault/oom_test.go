package fault

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"posthaste/test/harness"
	"posthaste/test/process"
	"posthaste/test/traffic"
)

// anybody lets the kernel choose whom it kills.
const anybody = "anybody"

// victims are whom the kernel kills for want of memory, in turn.
var victims = map[harness.System][]string{
	harness.Ours:    {anybody, "inbound", "queue", "outbound", "local", "broker", "master"},
	harness.Postfix: {anybody, "smtpd", "cleanup", "qmgr", "smtp"},
}

// While mail flows the memory of the whole system is bounded to less than it
// wants: the kernel kills a process, those that are left start another, and
// nothing is lost. Before that it has mail with no bound, and nobody is killed.
func TestOutOfMemory(t *testing.T) {
	for _, system := range []harness.System{harness.Ours, harness.Postfix} {
		t.Run(string(system), func(t *testing.T) {
			t.Parallel()
			g := newGroup(t)
			s := begin(t, setup{system: system})
			s.join(g)
			s.calm(12)
			if n := g.kills(); n > 0 {
				t.Fatalf("with no limit %d processes were killed", n)
			}
			load := &traffic.Load{Addr: s.Addr(), Ledger: s.books, Sessions: 4, Seed: uint64(time.Now().UnixNano()), Large: 20}
			load.Start()
			defer load.Stop()
			for _, who := range victims[system] {
				s.starve(g, who)
			}
			load.Stop()
			s.revive(g)
			t.Logf("the kernel killed %d processes", g.kills())
			s.close()
		})
	}
}

// join puts the whole system into a group, with all memory but what master has
// had so far.
func (s *site) join(g *group) {
	s.t.Helper()
	old := process.Tree(s.MasterPID())
	if err := g.add(old...); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.Run("postfix", "reload"); err != nil {
		s.t.Fatal(err)
	}
	s.until("the end of the old processes", func() bool {
		return !slices.ContainsFunc(old[1:], func(pid int) bool { return !process.Gone(pid) })
	})
}

// starve bounds the memory until the kernel has killed somebody, and then waits
// until mail is accepted again.
func (s *site) starve(g *group, who string) {
	s.t.Helper()
	s.revive(g) // who was killed before may have taken its time
	arrived := s.books.Arrived()
	s.until("mail", func() bool { return s.books.Arrived() > arrived+5 })
	s.prefer(who)
	before, kills, start := process.Tree(s.MasterPID()), g.kills(), time.Now()
	words := map[int][]string{}
	for _, pid := range before {
		words[pid] = process.Command(pid)
	}
	limit := 0
	s.until("the kernel to kill a process", func() bool {
		var err error
		if limit, err = g.squeeze(); err != nil {
			s.t.Fatal(err)
		}
		return g.kills() > kills
	})
	if err := g.set(unlimited); err != nil {
		s.t.Fatal(err)
	}
	s.until("mail to be accepted", func() bool {
		s.revive(g)
		acked, _ := s.client(s.number(), 2000)
		return acked && s.alive()
	})
	s.books.Fault("memory", start, time.Now())
	var dead []string
	for _, pid := range before {
		if process.Gone(pid) {
			dead = append(dead, fmt.Sprint(words[pid]))
		}
	}
	s.t.Logf("%s: %d killed at %d KiB: %v; accepted again after %s", who, g.kills()-kills, limit>>10, dead, time.Since(start))
}

// prefer lets the kernel choose a process of a role when it has to kill.
func (s *site) prefer(who string) {
	if who == anybody {
		return
	}
	pids := []int{s.MasterPID()}
	if who != "master" {
		pids = process.Role(pids[0], who)
	}
	for _, pid := range pids {
		os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("1000"), 0) // who is gone is gone
	}
}

// alive tells whether master lives.
func (s *site) alive() bool {
	pid := s.MasterPID()
	return pid != 0 && !process.Gone(pid)
}

// revive starts the system again when its master is gone, as an administrator
// would. What master has left behind is on its way out, and may be in the way.
func (s *site) revive(g *group) {
	s.t.Helper()
	if s.alive() {
		return
	}
	if err := harness.Until(patience, s.Start); err != nil {
		s.t.Fatal(err)
	}
	s.join(g)
}

// number is that of a message of its own.
func (s *site) number() int { s.next++; return s.next - 1 }
