// Command overtake lets the queue manager and that of the real Postfix deliver the
// same traffic to slow, limiting and dead sinks, and prints a line of figures for
// each. Without root or Debian's postfix it shows ours alone.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"posthaste/test/harness"
	"posthaste/test/isolate"
)

// trials are what can be tried, by name.
var trials = []struct {
	name string
	run  func(harness.System) error
}{
	{"mailing", mailing}, {"cost", cost}, {"feedback", feedback}, {"pause", pause}, {"bad", bad},
}

func main() { isolate.Run(run) }

func run() int {
	only := flag.String("only", "", "the trials, with commas (mailing, cost, feedback, pause, bad); empty: all")
	systems := flag.String("systems", "postfix,posthaste", "with commas")
	flag.Parse()
	code := 0
	for _, trial := range trials {
		if *only != "" && !strings.Contains(","+*only+",", ","+trial.name+",") {
			continue
		}
		for system := range strings.SplitSeq(*systems, ",") {
			err := trial.run(harness.System(system))
			if errors.Is(err, harness.ErrUnavailable) {
				fmt.Fprintln(os.Stderr, "overtake: left out:", err)
			} else if err != nil {
				fmt.Fprintf(os.Stderr, "overtake: %s, %s: %s\n", trial.name, system, err)
				code = 1
			}
		}
	}
	return code
}
