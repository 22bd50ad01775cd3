// Command order looks at the system calls of the mail system (strace): whether
// each message is durable when it is acknowledged and as long as it is needed
// (package check), and what becomes of mail when a process dies at its first,
// second, third … call of a kind. The tests are the short form; the program kills at
// every point until none is left and prints one line of JSON for each profile.
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

	"posthaste/test/isolate"
)

func main() { isolate.Run(program) }

// errInterrupted is the error of a run that somebody wants to end.
var errInterrupted = errors.New("interrupted")

func program() int {
	profiles := flag.String("profiles", string(journal)+","+string(files), "how messages are committed, with commas")
	roles := flag.String("roles", "", "the processes to kill, with commas; empty: all")
	limit := flag.Duration("time", time.Hour, "the longest time for one profile; the points that are left are not tried")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var failed error
	for p := range strings.SplitSeq(*profiles, ",") {
		next := everywhere(*roles, time.Now().Add(*limit))
		r, err := killAt(profile(p), func(died bool) (point, bool) {
			if ctx.Err() != nil {
				return point{}, false
			}
			return next(died)
		})
		if ctx.Err() != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p, errInterrupted), err)
			break
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p, err))
			continue
		}
		json.NewEncoder(os.Stdout).Encode(r)
		if err := r.wrong(); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p, err))
		}
	}
	if failed != nil {
		fmt.Fprintln(os.Stderr, "order:", failed)
		return 1
	}
	return 0
}

// misses is how many points in a row a process must not come to until no more
// of that kind are tried: which thread makes a call is chance.
const misses = 3

// everywhere goes through all places, and at each through the calls one after the
// other, until the process comes to none any more.
func everywhere(roles string, end time.Time) func(died bool) (point, bool) {
	var todo []point
	for _, place := range places {
		for _, call := range place.calls {
			if roles == "" || strings.Contains(","+roles+",", ","+place.role+",") {
				todo = append(todo, point{place.role, call, 0})
			}
		}
	}
	missed := 0
	return func(died bool) (point, bool) {
		if len(todo) == 0 || time.Now().After(end) {
			return point{}, false
		}
		switch at := &todo[0]; {
		case died || at.n == 0:
			missed = 0
		default:
			missed++
		}
		if missed == misses {
			missed = 0
			if todo = todo[1:]; len(todo) == 0 {
				return point{}, false
			}
			fmt.Fprintf(os.Stderr, "%s %s\n", todo[0].role, todo[0].call)
		}
		todo[0].n++
		return todo[0], true
	}
}
