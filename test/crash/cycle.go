package main

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"posthaste/test/harness"
	"posthaste/test/inject"
	"posthaste/test/process"
	"posthaste/test/traffic"
)

// kind is what is done to a system in one cycle: the process that is killed,
// or one of the words below.
type kind string

const (
	everything kind = "all"    // all processes are killed
	master     kind = "master" // its children live on for a while
	stopStart  kind = "stop"   // postfix stop and postfix start
	reload     kind = "reload" // postfix reload
	nothing    kind = "none"   // for comparison: how long a message takes anyway
)

// kindsOf are all kinds of a system.
var kindsOf = map[harness.System][]kind{
	harness.Ours:    {master, "inbound", "queue", "outbound", "local", "broker", everything, stopStart, reload, nothing},
	harness.Postfix: {master, "smtpd", "cleanup", "qmgr", "smtp", "virtual", everything, stopStart, reload, nothing},
}

// cycles breaks the system again and again, in random order, each kind about
// as often as the others.
func (s *site) cycles(r *result) error {
	kinds := s.o.Kinds
	if len(kinds) == 0 {
		kinds = kindsOf[s.instance.System]
	}
	var order []kind
	for n := range s.o.Cycles {
		if len(order) == 0 {
			order = append(order, kinds...)
			s.random.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
		}
		k := order[0]
		order = order[1:]
		s.o.Progress(n, s.o.Cycles, string(k))
		s.sink.Set([]traffic.Mode{traffic.Normal, traffic.Refusing, traffic.HangingUp, traffic.Slow}[s.random.IntN(4)])
		moment := time.Duration(500+s.random.IntN(1500)) * time.Millisecond
		if err := s.o.Quit.Wait(moment); err != nil {
			return err
		}
		took, done, err := s.cycle(k)
		if err != nil {
			return fmt.Errorf("cycle %d, %s: %w", n+1, k, err)
		}
		if done {
			r.Cycles++
			r.Recovery[k] = r.Recovery[k].add(took)
		}
	}
	return nil
}

// cycle does one thing to the system and returns how long it took until mail
// was accepted again. done is false when there is no such process.
func (s *site) cycle(k kind) (took time.Duration, done bool, err error) {
	begin := time.Now()
	var killed []int
	switch k {
	case stopStart:
		if _, err := s.instance.Run("postfix", "stop"); err != nil {
			return 0, false, err
		}
		begin = time.Now()
		err = s.restart()
	case nothing:
	case reload:
		_, err = s.instance.Run("postfix", "reload")
	case everything, master:
		if killed, err = s.killTree(k == everything); err == nil {
			err = s.restart()
		}
	default:
		if killed, err = s.killOne(k); err == nil && killed == nil {
			return 0, false, nil
		}
	}
	if err == nil {
		err = s.accepted(begin)
	}
	took = time.Since(begin)
	if err == nil && killed != nil {
		err = s.ended(killed)
		s.ledger.Fault(string(k), begin, time.Now())
	}
	return took, err == nil, err
}

// ended waits until processes that were killed are gone: until then their
// requests to others are still open.
func (s *site) ended(killed []int) error {
	return harness.Until(restartLimit, func() error {
		for _, pid := range killed {
			if !process.Gone(pid) {
				return fmt.Errorf("process %d was killed and is still there", pid)
			}
		}
		return nil
	})
}

// restartLimit is how long an administrator tries to start the system.
const restartLimit = 90 * time.Second

// restart starts the system, which may take several attempts. An attempt that
// fails because an earlier one was only slow is none.
func (s *site) restart() error {
	return harness.Until(restartLimit, func() error {
		err := s.instance.Start()
		if err != nil && s.instance.WaitReady(time.Second) == nil {
			return nil
		}
		return err
	})
}

// accepted waits until a whole message is accepted.
func (s *site) accepted(since time.Time) error {
	return harness.Until(restartLimit, func() error {
		c := inject.Open(s.instance.Addr(), traffic.ReplyLimit)
		if c == nil {
			return errors.New("no mail is accepted")
		}
		defer c.Quit()
		m := s.ledger.Send("prober@injector.example.test", 500, "user0@"+traffic.SinkDomain)
		if !c.Send(s.ledger, m) {
			return fmt.Errorf("no mail is accepted %s after", time.Since(since))
		}
		return nil
	})
}

// killTree kills master, or all processes. Master is stopped first, so that it
// starts nothing while the others are found and killed.
func (s *site) killTree(whole bool) (killed []int, err error) {
	pid := s.instance.MasterPID()
	if pid == 0 {
		return nil, errors.New("no master process")
	}
	if !whole {
		return []int{pid}, syscall.Kill(pid, syscall.SIGKILL)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return nil, err
	}
	killed = process.Tree(pid)
	for _, p := range killed {
		syscall.Kill(p, syscall.SIGKILL) // who is gone is gone
	}
	return killed, nil
}

// killOne kills one process of a role; none is killed when there is none.
func (s *site) killOne(k kind) (killed []int, err error) {
	found := process.Role(s.instance.MasterPID(), string(k))
	if len(found) == 0 {
		return nil, nil
	}
	pid := found[s.random.IntN(len(found))]
	err = syscall.Kill(pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return nil, nil
	}
	return []int{pid}, err
}
