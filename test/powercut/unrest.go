package main

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"posthaste/test/harness"
	"posthaste/test/process"
)

// mortals are the processes that are killed before a cut.
var mortals = map[harness.System][]string{
	harness.Ours:    {"inbound", "queue", "outbound", "local", "broker"},
	harness.Postfix: {"smtpd", "cleanup", "qmgr", "smtp", "virtual"},
}

const (
	// unrestWithin is how soon the cut comes after a reload began or a process
	// was killed, at the latest.
	unrestWithin = 300 * time.Millisecond
	// restartLimit is how long it may take until mail is accepted again.
	restartLimit = 30 * time.Second
)

// disturb reloads the system, or kills one process, in turn, and returns a moment
// later, in the midst of what comes of it; settle waits for the end of that.
func (p *round) disturb() (settle func() error, err error) {
	wait := time.Duration(p.random.Int64N(int64(unrestWithin)))
	if p.reloads <= p.kills {
		p.reloads++
		done := make(chan error, 1)
		go func() {
			_, err := p.instance.Run("postfix", "reload")
			done <- err
		}()
		return func() error { return <-done }, p.o.Quit.Wait(wait)
	}
	from := time.Now()
	role, pid, err := p.kill()
	if err != nil {
		return nil, err
	}
	p.kills++
	settle = func() error {
		err := harness.Until(restartLimit, func() error {
			if !process.Gone(pid) {
				return fmt.Errorf("process %d was killed and is still there", pid)
			}
			return nil
		})
		err = errors.Join(err, p.instance.WaitReady(restartLimit))
		p.books.Fault(role, from, time.Now())
		return err
	}
	return settle, p.o.Quit.Wait(wait)
}

// kill kills one process. One may just be being replaced.
func (p *round) kill() (role string, pid int, err error) {
	roles := mortals[p.instance.System]
	err = harness.Until(restartLimit, func() error {
		role = roles[p.random.IntN(len(roles))]
		found := process.Role(p.instance.MasterPID(), role)
		if len(found) == 0 {
			return fmt.Errorf("no process is %s", role)
		}
		pid = found[p.random.IntN(len(found))]
		return syscall.Kill(pid, syscall.SIGKILL)
	})
	return role, pid, err
}
