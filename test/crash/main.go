// Command crash kills the processes of a mail system under load, again and
// again, and counts what became of each message (package ledger). It does so
// with ours and with the real Postfix, prints one line of JSON for each and a
// table, and fails when ours lost, repeated, garbled or misled anything, or
// took longer than a second to accept mail again.
//
// Each run begins with its negative control: the same load with nothing killed
// must pass without a refusal, a deferral or a repetition.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"posthaste/test/harness"
	"posthaste/test/progress"
	"posthaste/test/traffic"
)

// options are how a run goes.
type options struct {
	Cycles   int
	Sessions int
	Seed     uint64
	Kinds    []kind        // what is done in turn; empty: everything
	Limit    time.Duration // within which mail must be accepted again
	Patience time.Duration // for the queue to run empty at the end
	Control  time.Duration // how long the load of the negative control runs
	Slack    time.Duration // see ledger.Count
	Keep     bool          // leave the directory
	Progress func(done, all int, text string)
	Quit     traffic.Quit // ends a run early: what runs is stopped
}

func main() {
	o := options{}
	systems := flag.String("systems", "", "systems to run, with commas; empty: all that can run here")
	kinds := flag.String("kinds", "", "what is done, with commas (master, all, stop, reload, none, or a role of a process); empty: everything")
	flag.IntVar(&o.Cycles, "cycles", 60, "how often something is killed")
	flag.IntVar(&o.Sessions, "sessions", 8, "SMTP sessions at a time")
	flag.Uint64Var(&o.Seed, "seed", 0, "of the order of events; 0: by the clock")
	flag.DurationVar(&o.Limit, "limit", time.Second, "within which ours must accept mail again")
	flag.DurationVar(&o.Patience, "patience", 2*time.Minute, "for the queue to run empty at the end")
	flag.DurationVar(&o.Control, "control", 5*time.Second, "how long the load of the negative control runs")
	flag.DurationVar(&o.Slack, "slack", 250*time.Millisecond, "from a delivery to its mark in the queue, at most; more hides more")
	flag.BoolVar(&o.Keep, "keep", false, "leave the directory of each run")
	flag.Parse()
	for k := range strings.SplitSeq(*kinds, ",") {
		if k != "" {
			o.Kinds = append(o.Kinds, kind(k))
		}
	}
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	o.Quit = ctx.Done()
	if err := all(o, *systems); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// all runs the systems one after the other.
func all(o options, names string) error {
	systems := []harness.System{harness.Ours, harness.Postfix}
	if names != "" {
		systems = nil
		for name := range strings.SplitSeq(names, ",") {
			systems = append(systems, harness.System(name))
		}
	}
	var failed error
	var results []result
	for _, system := range systems {
		o.Progress = progress.Bar(os.Stderr, string(system), "cycles")
		r, err := both(system, o)
		if errors.Is(err, harness.ErrUnavailable) && names == "" {
			fmt.Fprintln(os.Stderr, "SKIPPED:", err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", system, err)
		}
		results = append(results, r)
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
		if err := r.verdict(o.Limit); err != nil && system == harness.Ours {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", system, err))
		}
	}
	table(os.Stdout, results)
	return failed
}

// both runs the negative control and then the run itself.
func both(system harness.System, o options) (result, error) {
	calm := o
	calm.Cycles = 0
	c, err := once(system, calm)
	if err != nil {
		return c, err
	}
	if err := c.control(); err != nil {
		return c, fmt.Errorf("negative control, nothing was killed: %w", err)
	}
	return once(system, o)
}

// newRandom is the source of all choices of a run.
func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
