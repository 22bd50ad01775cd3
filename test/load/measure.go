package main

import (
	"fmt"
	"os"
	"sort"
	"time"

	"posthaste/test/harness"
	"posthaste/test/process"
)

// relayMain is a relay that hands everything to the out.
const relayMain = `relayhost = [127.0.0.1]:@SINK@
mydestination =
local_recipient_maps =
smtpd_client_connection_count_limit = 0
default_process_limit = 200
in_flow_delay = 0
`

// measure runs all systems in turn, in each round.
func measure(st *stage, systems []harness.System, s setting, messages, rounds int, w way, keep bool) (map[harness.System][]figures, error) {
	all := make(map[harness.System][]figures)
	for round := range rounds {
		for i := range systems {
			system := systems[(i+round)%len(systems)] // neither always goes first
			f, err := once(st, system, s, messages, w, keep)
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

// way is what the system does with the messages: relay them, or put them into
// mailboxes.
type way struct {
	rcpt  func(number int) string // the recipient of a message
	start func(*stage, harness.System) (*harness.Instance, arrivals, error)
}

var relaying = way{
	rcpt: func(int) string { return "rcpt@sink.example.test" },
	start: func(st *stage, system harness.System) (*harness.Instance, arrivals, error) {
		sink, err := startSink()
		if err != nil {
			return nil, nil, err
		}
		i, err := st.begin(harness.Config{System: system, Main: relayMain,
			Values: map[string]string{"SINK": fmt.Sprint(sink.port)}})
		if err != nil {
			sink.stop()
			return nil, nil, err
		}
		return i, sink, nil
	},
}

var storing = way{
	rcpt: func(number int) string { return fmt.Sprintf("u%d@box.example.test", number%boxes) },
	start: func(st *stage, system harness.System) (*harness.Instance, arrivals, error) {
		i, err := st.begin(harness.Config{System: system, Main: maildirMain, Files: map[string]string{"boxes": boxTable()}})
		if err != nil {
			return nil, nil, err
		}
		m, err := watchMailboxes(i)
		if err != nil {
			i.Stop()
			return nil, nil, err
		}
		return i, m, nil
	},
}

// once starts a system, drives one load through it, and stops it.
func once(st *stage, system harness.System, s setting, messages int, w way, keep bool) (f figures, err error) {
	i, out, err := w.start(st, system)
	if err != nil {
		return f, err
	}
	defer i.Stop()
	defer out.stop()
	// One message outside the count: processes are started, files are open.
	if _, err := send(i.Port, newMessage("warm", s.Size), w.rcpt, 1, 1, false); err != nil {
		return f, err
	}
	if err := out.waitFor(1, 20*time.Second); err != nil {
		return f, err
	}
	before, err := process.CPU(i.MasterPID())
	if err != nil {
		return f, err
	}
	peak := watchPSS(i.MasterPID())
	start := time.Now()
	latencies, err := send(i.Port, newMessage("load", s.Size), w.rcpt, s.Sessions, messages, keep)
	if err != nil {
		return f, fmt.Errorf("%w\n%s", err, tail(i.LogText()))
	}
	if err := out.waitFor(messages+1, 2*time.Minute); err != nil {
		f.Missing = messages + 1 - out.distinct()
		return f, nil
	}
	elapsed := out.last().Sub(start)
	after, err := process.CPU(i.MasterPID())
	if err != nil {
		return f, err
	}
	f.PSS = peak()
	f.Rate = float64(messages) / elapsed.Seconds()
	f.CPU = (after - before).Seconds() * 1000 / float64(messages)
	f.P50, f.P95 = percentile(latencies, 50), percentile(latencies, 95)
	f.Double = out.received() - out.distinct()
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
