package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"posthaste/test/harness"
	"posthaste/test/inject"
	"posthaste/test/ledger"
	"posthaste/test/process"
)

// point is where a process dies: as it makes a call of this kind for the n-th
// time. strace counts in each thread apart; with GOMAXPROCS=1 few threads make
// most calls.
type point struct {
	role string
	call string // of strace: one name, or some with commas
	n    int
}

func (p point) String() string { return fmt.Sprintf("%s at %s %d", p.role, p.call, p.n) }

// places are the kinds of calls at which each process may die. The broker's are
// those of its children, which write to mailboxes as the recipient.
var places = []struct {
	role  string
	calls []string
}{
	{"inbound", []string{"openat", "pwrite64", "fchmod", "fsync,fdatasync", "renameat", "write", "sendto,sendmsg", "unlinkat"}},
	{"queue", []string{"openat", "pwrite64", "fsync,fdatasync", "renameat", "unlinkat", "sendto,sendmsg", "write"}},
	{"outbound", []string{"openat", "write", "read", "sendto,sendmsg", "recvmsg"}},
	{"local", []string{"openat", "write", "sendto,sendmsg", "recvmsg"}},
	{"broker", []string{"openat", "write", "fsync,fdatasync", "linkat", "unlinkat", "mkdirat"}},
}

// sweep kills processes of one instance, point by point, and counts what became
// of the mail.
type sweep struct {
	site *site
	mail *traffic
	fire int // messages so far
}

// killed is the result of a sweep: one line of JSON.
type killed struct {
	Profile profile        `json:"profile"`
	Points  int            `json:"points"`  // at which a process died
	Spared  int            `json:"spared"`  // that no process came to
	ByRole  map[string]int `json:"by_role"` // of the points
	ledger.Counters
	Left int `json:"left"` // in the queue at the end
}

// wrong says which counter is not 0 that must be.
func (r *killed) wrong() error {
	if r.Loss+r.Phantom+r.DupUnexplained+r.Garbled+r.Misrouted+r.FalseBounce+r.Stuck == 0 {
		return nil
	}
	return fmt.Errorf("a counter that must be 0 is not:\n%s", strings.Join(r.Findings, "\n"))
}

// settings for a sweep: few threads, and a system that tries again at once.
const sweepSettings = `import_environment = MAIL_CONFIG TZ LANG=C GOMAXPROCS=1
`

// killAt kills at each point that next returns, until it says no. next is told
// whether the process came to the point before.
func killAt(p profile, next func(died bool) (point, bool)) (r killed, err error) {
	r.Profile, r.ByRole = p, map[string]int{}
	books := ledger.New("kill")
	s, err := newSink(books)
	if err != nil {
		return r, err
	}
	defer s.Close()
	i, err := newSite(harness.Ours, p, s, sweepSettings)
	if err != nil {
		return r, err
	}
	defer func() {
		if err != nil || r.wrong() != nil {
			fmt.Fprintf(os.Stderr, "the directory is left: %s\n", i.Dir)
			err = errors.Join(err, i.Halt())
			return
		}
		err = errors.Join(err, i.close())
	}()
	if err := i.Start(); err != nil {
		return r, err
	}
	k := &sweep{site: i, mail: &traffic{site: i, ledger: books, mail: nil}}
	died := false
	for at, ok := next(false); ok; at, ok = next(died) {
		if died, err = k.kill(at); err != nil {
			return r, fmt.Errorf("%s: %w", at, err)
		}
		if died {
			r.Points++
			r.ByRole[at.role]++
		} else {
			r.Spared++
		}
	}
	if err := k.mail.drain(time.Minute); err != nil {
		fmt.Fprintln(os.Stderr, err) // they are counted as stuck
	}
	err = errors.Join(i.Halt(), i.readMailboxes(books), books.ReadQueue(i.Spool))
	if r.Left, _ = ledger.Waiting(i.Spool); err != nil {
		return r, err
	}
	books.ReadLog(i.LogText())
	r.Counters = books.Count(true, slack)
	return r, nil
}

// slack is how long a delivery may take until it is marked, under strace.
const slack = 2 * time.Second

// kill sends some mail while strace waits for the point, and returns when the
// system accepts mail again.
func (k *sweep) kill(at point) (died bool, err error) {
	begin := time.Now()
	var pids []int
	var w *waiter
	err = harness.Until(10*time.Second, func() (err error) { // the last point may have killed it
		if pids = k.processes(at.role); len(pids) == 0 {
			return errors.New("no such process")
		}
		w, err = lieInWait(pids, at)
		return err
	})
	if err != nil {
		return false, err
	}
	k.burst()
	died = w.done(100 * time.Millisecond)
	if !died {
		died = k.moment(w)
	}
	w.leave()
	// It may have died just now.
	died = died || w.done(0) || len(process.Command(pids[0])) == 0
	if died {
		err = k.again()
		k.mail.ledger.Fault(at.String(), begin, time.Now())
	}
	return died, err
}

// processes are those that play a role. The broker's children write to mailboxes
// and are used again; without root it is local itself that does.
func (k *sweep) processes(role string) []int {
	master := k.site.MasterPID()
	if role != "broker" {
		return process.Role(master, role)
	}
	if os.Geteuid() != 0 {
		return process.Role(master, "local")
	}
	return append(process.Role(master, role), process.Role(master, "user")...)
}

// moment gives deliveries that were deferred a little time.
func (k *sweep) moment(w *waiter) bool {
	end := time.Now().Add(700 * time.Millisecond)
	for time.Now().Before(end) {
		if n, err := ledger.Waiting(k.site.Spool); err == nil && n == 0 {
			break
		}
		if w.done(20 * time.Millisecond) {
			return true
		}
	}
	return w.done(20 * time.Millisecond)
}

// again waits until mail is accepted.
func (k *sweep) again() error {
	return harness.Until(30*time.Second, func() error {
		if c := inject.Open(k.site.Addr(), 5*time.Second); c != nil {
			c.Quit()
			return nil
		}
		return errors.New("no mail is accepted")
	})
}

// burst sends some messages over one connection, as far as that goes.
func (k *sweep) burst() {
	c := inject.Open(k.site.Addr(), 10*time.Second)
	for range 3 {
		if c == nil {
			return
		}
		k.fire++
		local, remote := box(k.fire%boxes)+"@"+boxDomain, fmt.Sprintf("user%d@%s", k.fire, sinkDomain)
		size, rcpts := 1000, []string{local, remote}
		switch k.fire % 3 {
		case 1:
			size, rcpts = 100_000, []string{remote}
		case 2:
			rcpts = []string{local, fmt.Sprintf("later%d@%s", k.fire, sinkDomain)}
		}
		if !c.Send(k.mail.ledger, k.mail.ledger.Send(sender, size, rcpts...)) {
			c.Close()
			c = nil
		}
	}
	if c != nil {
		c.Quit()
	}
}

// waiter is strace in wait for a call of a process.
type waiter struct {
	cmd *exec.Cmd
	hit chan bool // closed when a process was killed
	end chan bool // closed when strace has ended
}

// lieInWait lets strace kill one of the processes, or a child of theirs, as it
// makes a call.
func lieInWait(pids []int, at point) (*waiter, error) {
	args := []string{"-f", "-s", "0", "-e", "trace=" + at.call, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", at.call, at.n)}
	for _, pid := range pids {
		args = append(args, "-p", fmt.Sprint(pid))
	}
	cmd := exec.Command("strace", args...)
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w := &waiter{cmd: cmd, hit: make(chan bool), end: make(chan bool)}
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if err != nil || !strings.Contains(line, "attached") {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, fmt.Errorf("strace: %w: %s", harness.ErrUnavailable, line)
	}
	go w.listen(r)
	return w, nil
}

// listen reads what strace says until it ends.
func (w *waiter) listen(r *bufio.Reader) {
	hit := w.hit
	for {
		line, err := r.ReadString('\n')
		if hit != nil && strings.Contains(line, "+++ killed by SIGKILL") {
			close(hit)
			hit = nil
		}
		if err != nil {
			break
		}
	}
	w.cmd.Wait()
	close(w.end)
}

// done tells whether a process has died within a time.
func (w *waiter) done(limit time.Duration) bool {
	select {
	case <-w.hit:
		return true
	case <-time.After(limit):
		return false
	}
}

// leave lets go of what lives. strace is killed: asked to end in the middle of a
// process's death it waits for ever.
func (w *waiter) leave() {
	w.cmd.Process.Kill()
	<-w.end
}
