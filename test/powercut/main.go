// Command powercut cuts the power of a mail system under load, again and again,
// and counts what became of each message (package ledger). The power is cut by
// taking the disk as it is at some moment; then the system is started on that,
// and its queue run empty. Messages that were acknowledged before that moment
// must be there.
//
// Each run begins with its negative control: the same, with syncs that do
// nothing, must lose messages; otherwise the run sees nothing.
//
// It needs root, and works in name spaces of its own (package isolate).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"posthaste/test/harness"
	"posthaste/test/isolate"
	"posthaste/test/progress"
	"posthaste/test/traffic"
)

// options are how a run goes.
type options struct {
	Cuts     int
	Round    int // cuts per round
	Control  int // cuts of the negative control
	Sessions int
	Seed     uint64
	Slack    time.Duration // see ledger.Count
	Patience time.Duration // for the queue to run empty after a cut
	Dir      string        // for image files; empty: where temporary files lie
	Keep     bool          // leave the directories of instances
	Until    time.Time     // no more cuts are made after it; zero: all are
	Progress func(done int)
	Quit     traffic.Quit
}

// over tells whether the time for a run is.
func (o *options) over() bool { return !o.Until.IsZero() && time.Now().After(o.Until) }

func main() { isolate.Run(program) }

func program() int {
	o := options{}
	systems := flag.String("systems", "", "systems to run, with commas; empty: all that can run here")
	tier := flag.String("tier", "", "T3: snapshots of a disk that writes in order; T4: two disks that do not; empty: both")
	disks := flag.String("disks", "", "kinds of disk, with spaces; empty: all of the tier")
	flag.IntVar(&o.Cuts, "cuts", 200, "how often the power is cut, over all disks of a tier")
	flag.IntVar(&o.Round, "round", 20, "cuts of one life of the system")
	flag.IntVar(&o.Control, "control", 3, "cuts of the negative control")
	flag.IntVar(&o.Sessions, "sessions", 6, "SMTP sessions at a time")
	flag.Uint64Var(&o.Seed, "seed", 0, "of the first round, by one more for each other; 0: by the clock")
	flag.DurationVar(&o.Slack, "slack", 1500*time.Millisecond, "from a delivery to the moment when no cut can undo that it is known, at most")
	flag.DurationVar(&o.Patience, "patience", 30*time.Second, "for the queue to run empty after a cut")
	flag.StringVar(&o.Dir, "dir", "", "for image files; empty: where temporary files lie")
	flag.BoolVar(&o.Keep, "keep", false, "leave the directories of the systems")
	limit := flag.Duration("for", 0, "make no more cuts after so long; 0: all")
	add := flag.Bool("add", false, "cut nothing: read the lines of JSON that other runs printed, and add them up")
	flag.Parse()
	if *add {
		return report(sum(os.Stdin, os.Stdout))
	}
	if *limit > 0 {
		o.Until = time.Now().Add(*limit)
	}
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	o.Quit = ctx.Done()
	tiers := []string{snapshot, reordered}
	if *tier != "" {
		tiers = []string{*tier}
	}
	on := strings.Fields(*disks)
	err := known(on)
	for _, t := range tiers {
		if err == nil {
			err = all(o, strings.FieldsFunc(*systems, func(r rune) bool { return r == ',' }), t, on)
		}
	}
	if errors.Is(err, harness.ErrUnavailable) && *systems == "" {
		fmt.Fprintln(os.Stderr, "SKIPPED:", err)
		return 0
	}
	return report(err)
}

// report turns an error into an exit status.
func report(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "powercut:", err)
		return 1
	}
	return 0
}

// all runs the systems one after the other.
func all(o options, systems []string, tier string, disks []string) error {
	if err := available(); err != nil {
		return err
	}
	chosen := choose(tier, disks, func(err error) { fmt.Fprintln(os.Stderr, "SKIPPED:", err) })
	if len(chosen) == 0 {
		return nil // those that were named are of another tier
	}
	named := len(systems) > 0
	if !named {
		systems = []string{string(harness.Ours), string(harness.Postfix)}
	}
	var failed error
	var results []result
	for _, name := range systems {
		system := harness.System(name)
		of, err := both(system, o, chosen)
		if errors.Is(err, harness.ErrUnavailable) && !named {
			fmt.Fprintln(os.Stderr, "SKIPPED:", err)
			continue
		}
		for i := range of {
			if err := json.NewEncoder(os.Stdout).Encode(of[i]); err != nil {
				return err
			}
			if err := of[i].verdict(); err != nil && system == harness.Ours {
				failed = errors.Join(failed, fmt.Errorf("%s, %s: %w", system, of[i].Disk, err))
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", system, err)
		}
		results = append(results, of...)
	}
	table(os.Stdout, results)
	return failed
}

// both runs the negative control and then the run itself, round by round, on
// the kinds of disk in turn.
func both(system harness.System, o options, on []variant) ([]result, error) {
	bar := progress.Bar(os.Stderr, string(system)+" "+on[0].tier, "cuts")
	o.Progress = func(int) {}
	if err := controls(system, o, on[0]); err != nil {
		return nil, err
	}
	var results []result
	for n, done := 0, 0; done < o.Cuts && !o.over(); n++ {
		v := on[n%len(on)]
		if n < len(on) {
			results = append(results, newResult(system, v, o.Seed))
		}
		r := &results[n%len(on)]
		before := r.Cuts
		o.Progress = func(cuts int) { bar(done+cuts-before, o.Cuts, v.name) }
		if err := playRound(o, v, min(o.Round, o.Cuts-done), o.Seed+uint64(n), r); err != nil {
			return results, err
		}
		done += r.Cuts - before
	}
	bar(o.Cuts, o.Cuts, "")
	return results, nil
}

// controls are the negative controls: in each, messages must be lost.
func controls(system harness.System, o options, v variant) error {
	blind, lax := v, v
	blind.blind, lax.lax = true, true
	lax.unrest = false // who is started meanwhile would not be watched
	if err := control(system, o, blind, "nothing was synced"); err != nil || v.tier != reordered || system != harness.Ours {
		return err
	}
	o.Control = max(o.Control, 4) // a cut that takes nothing with it is more likely here
	return control(system, o, lax, "mailboxes were not synced")
}

func control(system harness.System, o options, v variant, what string) error {
	r := newResult(system, v, o.Seed)
	if err := playRound(o, v, o.Control, o.Seed, &r); err != nil {
		return fmt.Errorf("negative control: %w", err)
	}
	if r.Loss == 0 {
		return fmt.Errorf("negative control: %s, and of %d recipients only on the disk none was lost in %d cuts: this test is blind", what, r.OnDisk, r.Cuts)
	}
	fmt.Fprintf(os.Stderr, "%s: negative control: %s: of %d recipients only on the disk %d were lost in %d cuts\n",
		system, what, r.OnDisk, r.Loss, r.Cuts)
	return nil
}

func newResult(system harness.System, v variant, seed uint64) result {
	return result{Runs: 1, System: system, Tier: v.tier, Disk: v.name, Kind: v.kind, Options: v.options, Seed: seed, unrest: v.unrest}
}
