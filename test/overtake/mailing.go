package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"posthaste/test/harness"
)

const (
	places     = 10
	each       = 100 * time.Millisecond
	recipients = 1500
)

// beside is small mail beside a mailing.
type beside struct {
	cost  int     // default_delivery_slot_cost
	share float64 // of what the mailing owes to small mail
	size  int     // recipients
	burst int     // messages at once
	main  string
}

// mailing measures how long small mail waits beside a mailing.
func mailing(system harness.System) error {
	return runAll(system,
		beside{5, 0.5, 1, 1, ""}, beside{5, 0.9, 1, 1, ""}, beside{5, 0.9, 1, 15, ""}, beside{5, 0.9, 5, 1, ""},
		beside{2, 0.9, 1, 1, ""}, beside{0, 0.5, 1, 1, ""},
		beside{5, 0.9, 1, 1, "slow_delivery_slot_loan = 0\nslow_delivery_slot_discount = 0"})
}

// cost measures what the least costs do: with 2 small mail passes, with 0 none, and
// with 1 none, too.
func cost(system harness.System) error {
	return runAll(system, beside{2, 0.5, 1, 1, ""}, beside{1, 0.5, 1, 1, ""}, beside{0, 0.5, 1, 1, ""})
}

func runAll(system harness.System, list ...beside) error {
	for _, b := range list {
		if err := b.run(system); err != nil {
			return err
		}
	}
	return nil
}

func (b beside) run(system harness.System) error {
	s, err := begin(system, places, each, "slow_destination_recipient_limit = 1",
		fmt.Sprintf("default_delivery_slot_cost = %d", b.cost), b.main)
	if err != nil {
		return err
	}
	defer s.end()
	if err := s.SendMany(recipients, func(n int) string { return fmt.Sprintf("user%d@list.test", n) }); err != nil {
		return err
	}
	if err := s.wait("@list.test", 1, 10*time.Second); err != nil {
		return err
	}
	arrived, err := b.send(s)
	if err != nil {
		return err
	}
	for host := range arrived {
		if err := s.wait("@"+host, b.size, time.Minute); err != nil {
			return err
		}
	}
	b.print(s, system, arrived)
	return nil
}

// send sends small mail until the mailing is done, and returns when each was
// accepted, by its domain.
func (b beside) send(s *site) (map[string]time.Time, error) {
	arrived := map[string]time.Time{}
	var mu sync.Mutex
	var group sync.WaitGroup
	var failed error
	random := rand.New(rand.NewPCG(1, 1))
	rate := b.share * places / each.Seconds() / float64(max(b.cost, 1)+1) / float64(b.size*b.burst)
	for n := 0; len(s.deliveries("@list.test")) < recipients-recipients/10; {
		time.Sleep(time.Duration(random.ExpFloat64() / rate * float64(time.Second)))
		for range b.burst {
			host := fmt.Sprintf("s%d.test", n)
			n++
			group.Go(func() {
				err := s.SendMany(b.size, func(k int) string { return fmt.Sprintf("user%d@%s", k, host) })
				mu.Lock()
				defer mu.Unlock()
				arrived[host] = time.Now()
				if err != nil {
					failed = err
				}
			})
		}
	}
	group.Wait()
	return arrived, failed
}

func (b beside) print(s *site, system harness.System, arrived map[string]time.Time) {
	s.wait("@list.test", recipients, time.Minute)
	list := s.deliveries("@list.test")
	var passed []int
	var waited []float64
	for host, at := range arrived {
		var last time.Time
		for _, d := range s.deliveries("@" + host) {
			if d.begun.After(last) {
				last = d.begun
			}
		}
		n := 0
		for _, d := range list {
			if d.begun.After(at) && d.begun.Before(last) {
				n++
			}
		}
		passed = append(passed, n)
		waited = append(waited, max(0, last.Sub(at).Seconds()/each.Seconds()))
	}
	slices.Sort(passed)
	slices.Sort(waited)
	at := func(part float64) int { return int(part * float64(len(passed)-1)) }
	took := list[len(list)-1].end.Sub(list[0].begun)
	fmt.Printf("mailing  %-9s cost %d, %.1f of the share, size %d, bursts of %2d %q: %3d messages, median/95%%/max passed %d %d %d, waited %.1f %.1f %.1f, mailing %.1fs\n",
		system, b.cost, b.share, b.size, b.burst, b.main, len(passed), passed[at(0.5)], passed[at(0.95)], passed[at(1)],
		waited[at(0.5)], waited[at(0.95)], waited[at(1)], took.Seconds())
}
