package main

import (
	"fmt"
	"net"
	"sync"
	"time"

	"posthaste/test/harness"
)

// bad measures how many messages a second reach good destinations alone, beside one
// that never greets and beside one that takes 5 s for each delivery.
func bad(system harness.System) error {
	var alone float64
	for _, kind := range []string{"none", "dead", "slow"} {
		rate, err := besideBad(system, kind)
		if err != nil {
			return err
		}
		if kind == "none" {
			alone = rate
		}
		fmt.Printf("bad      %-9s beside %s: %.0f a second to good destinations, %.0f %%\n", system, kind, rate, 100*rate/alone)
	}
	return nil
}

func besideBad(system harness.System, kind string) (float64, error) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts and never greets
	if err != nil {
		return 0, err
	}
	defer silent.Close()
	var other site
	slow, err := other.newSink(5 * time.Second)
	if err != nil {
		return 0, err
	}
	defer slow.Close()
	to := ""
	switch kind {
	case "dead":
		to = fmt.Sprintf("transport_maps = inline:{bad.test=slow:[127.0.0.1]:%d}", silent.Addr().(*net.TCPAddr).Port)
	case "slow":
		to = fmt.Sprintf("transport_maps = inline:{bad.test=slow:[127.0.0.1]:%d}", slow.Port)
	}
	s, err := begin(system, 100, 100*time.Millisecond, to, "slow_destination_concurrency_limit = 50", "smtp_helo_timeout = 10s")
	if err != nil {
		return 0, err
	}
	defer s.end()
	quit := make(chan struct{})
	var group sync.WaitGroup
	for session := range 8 {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-quit:
					return
				default:
				}
				s.SendMany(1, func(int) string {
					if n%10 == 0 {
						return "user@bad.test"
					}
					return fmt.Sprintf("user@g%d.test", session)
				})
			}
		})
	}
	time.Sleep(4 * time.Second) // windows grow, the bad destination is full
	before := s.good()
	start := time.Now()
	time.Sleep(20 * time.Second)
	rate := float64(s.good()-before) / time.Since(start).Seconds()
	close(quit)
	group.Wait()
	return rate, nil
}

func (s *site) good() int { return len(s.deliveries(".test")) - len(s.deliveries("@bad.test")) }
