// Command load measures the relay path side by side with the real Postfix:
// the same configuration, the same file system, in one run, alternating. It
// prints one row per setting, with the median of the ratios of all rounds.
//
// The load generator and the sink are part of this program, so that both
// systems meet the same peers. A message counts when the sink has answered
// 250 to it; a 250 from the system under test is measured from the final dot.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"posthaste/test/harness"
	"posthaste/test/isolate"
)

// setting is one row of the table.
type setting struct {
	Sessions int
	Size     int // bytes of the message
}

// figures are what one run gave.
type figures struct {
	Rate    float64 // messages a second, first connection to last arrival at the sink
	CPU     float64 // milliseconds of the process tree per message
	P50     float64 // milliseconds from final dot to 250
	P95     float64
	PSS     float64 // MiB, largest sum over the process tree
	Missing int     // messages that did not arrive; anything but 0 voids the run
	Double  int
}

func main() { isolate.Run(program) }

// program is all of it; it returns the exit status.
func program() int {
	measurement := arguments()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	st, err := newStage()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		return 1
	}
	done, code := make(chan int, 1), 1
	go func() { done <- measurement(st) }()
	select {
	case code = <-done:
	case s := <-stop:
		fmt.Fprintln(os.Stderr, "load:", s)
	}
	if err := st.clear(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		return 1
	}
	return code
}

// arguments is the measurement that is asked for; it returns the exit status.
func arguments() func(*stage) int {
	rounds := flag.Int("rounds", 3, "rounds for each setting; systems alternate within a round")
	messages := flag.Int("messages", 3000, "messages in a run at 4 kB; fewer for larger ones")
	sessions := flag.String("sessions", "1,20,100", "numbers of sessions")
	sizes := flag.String("sizes", "1,4,100", "message sizes in kB")
	keep := flag.Bool("keep", false, "send all messages of a session over one connection")
	maildir := flag.Bool("maildir", false, "deliver to mailboxes instead of relaying")
	waiting := flag.Int("idle", 0, "measure only what this many idle connections cost each system")
	only := flag.String("only", "", "measure only this system: posthaste or postfix")
	asJSON := flag.Bool("json", false, "print one line of JSON per setting instead of a table")
	kind := flag.String("disk", "ext4", "file system, freshly made in an image file, for the queues of both (ext4, xfs); empty, or not root: where temporary files lie")
	deferred := flag.Int("deferred", 0, "measure with this many deferred messages instead")
	flag.Parse()
	calm()
	var size int64
	var options []string
	if *deferred > 0 {
		size, options = backlogDisk(*deferred)
	}
	return func(st *stage) int {
		if *waiting > 0 {
			return printIdle(st, *waiting, *only)
		}
		var err error
		if *kind != "" && os.Geteuid() == 0 {
			err = st.mount(*kind, size, options...)
		}
		switch {
		case err != nil:
			err = fmt.Errorf("disk: %w", err)
		case *deferred > 0:
			err = runBacklog(st, *deferred, *rounds, *messages, *only)
		default:
			err = run(st, *rounds, *messages, *sessions, *sizes, *maildir, *keep, *only, *asJSON)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "load:", err)
			return 1
		}
		return 0
	}
}

func run(st *stage, rounds, messages int, sessions, sizes string, maildir, keep bool, only string, asJSON bool) error {
	systems := []harness.System{harness.Ours, harness.Postfix}
	if only != "" {
		systems = []harness.System{harness.System(only)}
	}
	settings, err := parseSettings(sessions, sizes)
	if err != nil {
		return err
	}
	w := relaying
	if maildir {
		w = storing
	}
	if !asJSON {
		printHead()
	}
	for _, s := range settings {
		n := messages
		if s.Size > 10000 {
			n = max(messages/8, 200)
		}
		if s.Sessions == 1 {
			n = max(n/4, 100)
		}
		all, err := measure(st, systems, s, n, rounds, w, keep)
		if err != nil {
			return err
		}
		if asJSON {
			if err := json.NewEncoder(os.Stdout).Encode(report(s, n, all)); err != nil {
				return err
			}
		} else {
			printRow(s, n, all)
		}
	}
	return nil
}

func parseSettings(sessions, sizes string) ([]setting, error) {
	var out []setting
	for _, c := range strings.Split(sessions, ",") {
		for _, z := range strings.Split(sizes, ",") {
			n, err1 := strconv.Atoi(c)
			kb, err2 := strconv.Atoi(z)
			if err1 != nil || err2 != nil || n < 1 || kb < 1 {
				return nil, fmt.Errorf("bad -sessions or -sizes: %q %q", sessions, sizes)
			}
			out = append(out, setting{Sessions: n, Size: kb * 1000})
		}
	}
	return out, nil
}
