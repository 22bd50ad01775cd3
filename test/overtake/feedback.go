package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"posthaste/test/harness"
)

// feedback measures what the parameters of concurrency feedback do: how often a
// destination that refuses is tried before it is dead, and how much mail one defers
// that takes five connections at a time.
func feedback(system harness.System) error {
	for _, settings := range [][]string{
		nil, {"cohort_limit = 0"}, {"cohort_limit = 3"}, {"negative = 0"}, {"negative = 0.5"}, {"negative = 1/concurrency"},
		{"initial = 1"}, {"initial = 1", "cohort_limit = 3"}, {"initial = 2"}, {"limit = 1"}, {"limit = 3"}, {"initial = 10"},
		{"rate_delay = 1s"}, {"rate_delay = 1s", "cohort_limit = 3"},
	} {
		if err := refused(system, settings); err != nil {
			return err
		}
	}
	for _, form := range []string{"1", "1/concurrency", "1/sqrt_concurrency", "0"} {
		if err := crowded(system, "positive = "+form, "negative = "+form, "cohort_limit = 100"); err != nil {
			return err
		}
	}
	return nil
}

// long spells out the short names of parameters.
func long(settings []string) []string {
	names := map[string]string{
		"cohort_limit": "slow_destination_concurrency_failed_cohort_limit",
		"negative":     "slow_destination_concurrency_negative_feedback",
		"positive":     "slow_destination_concurrency_positive_feedback",
		"initial":      "slow_initial_destination_concurrency",
		"limit":        "slow_destination_concurrency_limit",
		"rate_delay":   "slow_destination_rate_delay",
	}
	list := []string{"slow_destination_recipient_limit = 2", "destination_concurrency_feedback_debug = yes"}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, " = ")
		list = append(list, names[name]+" = "+value)
	}
	return list
}

// refused counts the attempts at a destination that refuses every connection.
func refused(system harness.System, settings []string) error {
	s, err := begin(system, 30, 0, long(settings)...)
	if err != nil {
		return err
	}
	defer s.end()
	s.sink.Reply("CONNECT", "421 4.3.2 not now")
	const count = 40 // recipients: half as many deliveries
	if err := s.SendMany(count, func(n int) string { return fmt.Sprintf("user%d@x.test", n) }); err != nil {
		return err
	}
	err = harness.Until(30*time.Second, func() error {
		if n := s.logged("status=deferred"); n < count {
			return fmt.Errorf("%d of %d deferred", n, count)
		}
		return nil
	})
	fmt.Printf("refused  %-9s %-40s %2d connections, %2d recipients suspended %v\n", system, strings.Join(settings, ", "), s.sink.Sessions(),
		s.logged("delivery temporarily suspended"), errText(err))
	if os.Getenv("SHOWLOG") != "" {
		for line := range strings.Lines(s.LogText()) {
			if strings.Contains(line, "window") || strings.Contains(line, "feedback") {
				fmt.Print(line)
			}
		}
	}
	return nil
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return "(" + err.Error() + ")"
}

// crowded counts what is deferred at a destination that takes five connections at a time.
func crowded(system harness.System, settings ...string) error {
	s, err := begin(system, 30, 50*time.Millisecond, long(settings)...)
	if err != nil {
		return err
	}
	defer s.end()
	s.sink.Limit(5)
	const count = 600
	start := time.Now()
	if err := s.SendMany(count, func(n int) string { return fmt.Sprintf("user%d@x.test", n) }); err != nil {
		return err
	}
	err = harness.Until(30*time.Second, func() error {
		if n := s.logged("status=deferred") + s.logged("status=sent"); n < count {
			return fmt.Errorf("%d of %d done", n, count)
		}
		return nil
	})
	fmt.Printf("crowded  %-9s %-60s %.1f %% deferred, %.1fs %v\n", system, strings.Join(settings, ", "),
		100*float64(s.logged("status=deferred"))/count, time.Since(start).Seconds(), errText(err))
	return nil
}
