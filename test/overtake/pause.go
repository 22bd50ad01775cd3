package main

import (
	"fmt"
	"strings"
	"time"

	"posthaste/test/harness"
)

// pause measures the time between the starts of deliveries that take 300 ms, with rate
// delays, to one domain and to two recipients in it.
func pause(system harness.System) error {
	for _, settings := range [][]string{
		{"slow_destination_rate_delay = 1s", "slow_destination_recipient_limit = 2"},
		{"slow_destination_rate_delay = 1s", "slow_destination_recipient_limit = 1"},
		{"default_destination_rate_delay = 1s", "slow_destination_concurrency_limit = 5"},
		{"slow_transport_rate_delay = 1s", "slow_destination_recipient_limit = 2"},
		{"slow_transport_rate_delay = 1s", "slow_destination_recipient_limit = 1"},
		{"default_transport_rate_delay = 1s"},
	} {
		if err := gaps(system, settings); err != nil {
			return err
		}
	}
	return nil
}

func gaps(system harness.System, settings []string) error {
	s, err := begin(system, 30, 300*time.Millisecond, settings...)
	if err != nil {
		return err
	}
	defer s.end()
	const count = 6
	for n := range count {
		if err := s.SendMany(1, func(int) string { return fmt.Sprintf("user%d@x.test", n%2) }); err != nil {
			return err
		}
	}
	if err := s.wait("@x.test", count, 20*time.Second); err != nil {
		return err
	}
	var list []string
	all := s.deliveries("@x.test")
	for _, d := range all {
		list = append(list, fmt.Sprintf("%.1f", d.begun.Sub(all[0].begun).Seconds()))
	}
	fmt.Printf("pause    %-9s %-80s starts at %s\n", system, strings.Join(settings, ", "), strings.Join(list, " "))
	return nil
}
