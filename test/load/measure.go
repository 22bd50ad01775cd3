package main

import (
	"fmt"
	"os"
	"sort"
	"time"

	"posthaste/test/harness"
)

// relayMain is a relay that hands everything to the sink.
const relayMain = `relayhost = [127.0.0.1]:@SINK@
mydestination =
local_recipient_maps =
smtpd_client_connection_count_limit = 0
default_process_limit = 200
in_flow_delay = 0
`

// measure runs all systems in turn, in each round.
func measure(systems []harness.System, s setting, messages, rounds int, keep bool) (map[harness.System][]figures, error) {
	all := make(map[harness.System][]figures)
	for round := range rounds {
		for i := range systems {
			system := systems[(i+round)%len(systems)] // neither always goes first
			f, err := once(system, s, messages, keep)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", system, err)
			}
			if f.Missing > 0 {
				return nil, fmt.Errorf("%s: %d of %d messages did not arrive", system, f.Missing, messages)
			}
			all[system] = append(all[system], f)
			fmt.Fprintf(os.Stderr, "\r%s: %d sessions, %d kB, round %d of %d: %.0f/s    ",
				system, s.Sessions, s.Size/1000, round+1, rounds, f.Rate)
		}
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	return all, nil
}

// once starts a system, drives one load through it, and stops it.
func once(system harness.System, s setting, messages int, keep bool) (f figures, err error) {
	sink, err := startSink()
	if err != nil {
		return f, err
	}
	defer sink.stop()
	i, err := harness.New(harness.Config{System: system, Main: relayMain,
		Values: map[string]string{"SINK": fmt.Sprint(sink.port)}})
	if err != nil {
		return f, err
	}
	defer i.Stop()
	if err := i.Start(); err != nil {
		return f, err
	}
	// One message outside the count: processes are started, files are open.
	if _, err := send(i.Port, newMessage("warm", s.Size), 1, 1, false); err != nil {
		return f, err
	}
	if err := sink.waitFor(1, 20*time.Second); err != nil {
		return f, err
	}
	before, err := treeCPU(i.MasterPID())
	if err != nil {
		return f, err
	}
	peak := watchPSS(i.MasterPID())
	start := time.Now()
	latencies, err := send(i.Port, newMessage("load", s.Size), s.Sessions, messages, keep)
	if err != nil {
		return f, fmt.Errorf("%w\n%s", err, tail(i.LogText()))
	}
	if err := sink.waitFor(messages+1, 2*time.Minute); err != nil {
		f.Missing = messages + 1 - sink.distinct()
		return f, nil
	}
	elapsed := sink.last().Sub(start)
	after, err := treeCPU(i.MasterPID())
	if err != nil {
		return f, err
	}
	f.PSS = peak()
	f.Rate = float64(messages) / elapsed.Seconds()
	f.CPU = (after - before).Seconds() * 1000 / float64(messages)
	f.P50, f.P95 = percentile(latencies, 50), percentile(latencies, 95)
	f.Double = sink.received() - sink.distinct()
	return f, nil
}

func tail(s string) string {
	if len(s) > 2000 {
		s = s[len(s)-2000:]
	}
	return s
}

// percentile is in milliseconds.
func percentile(d []time.Duration, p int) float64 {
	if len(d) == 0 {
		return 0
	}
	sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
	return float64(d[(len(d)-1)*p/100].Microseconds()) / 1000
}
