package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"posthaste/test/harness"
	"posthaste/test/ledger"
)

// result is what one run gave: one line of JSON.
type result struct {
	System harness.System `json:"system"`
	Seed   uint64         `json:"seed"`
	Cycles int            `json:"cycles"` // those in which something was done
	ledger.Counters
	Deferrals int               `json:"deferrals"` // lines in the log
	TmpFiles  int               `json:"maildir_tmp"`
	Recovery  map[kind]recovery `json:"recovery_ms"` // until mail was accepted again
}

// recovery are times in milliseconds.
type recovery struct {
	Count  int `json:"n"`
	Median int `json:"median"`
	Max    int `json:"max"`
	all    []int
}

func (r recovery) add(d time.Duration) recovery {
	r.all = append(slices.Clone(r.all), int(d.Milliseconds()))
	slices.Sort(r.all)
	r.Count, r.Median, r.Max = len(r.all), r.all[len(r.all)/2], r.all[len(r.all)-1]
	return r
}

// verdict says what is wrong with a run. limit counts from what a message
// takes when nothing is killed, since a machine may be busy with other things.
func (r *result) verdict(limit time.Duration) error {
	var wrong []error
	if r.Bad() {
		wrong = append(wrong, fmt.Errorf("a counter that must be 0 is not:\n%s", strings.Join(r.Findings, "\n")))
	}
	if r.Delivered == 0 {
		wrong = append(wrong, errors.New("no mail was delivered"))
	}
	limit += time.Duration(r.Recovery[nothing].Max) * time.Millisecond
	for k, v := range r.Recovery {
		if time.Duration(v.Max)*time.Millisecond > limit {
			wrong = append(wrong, fmt.Errorf("%s: mail was accepted again after %d ms, not within %s", k, v.Max, limit))
		}
	}
	return errors.Join(wrong...)
}

// control says what is wrong with a run in which nothing was killed.
func (r *result) control() error {
	err := r.verdict(0)
	if n := r.Refused + r.Unknown + r.Deferrals + r.Dup + len(r.ConnLost); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d refused, %d unknown, %d deferred, %d twice, connections lost: %v",
			r.Refused, r.Unknown, r.Deferrals, r.Dup, r.ConnLost))
	}
	return err
}

// table prints results side by side.
func table(w io.Writer, results []result) {
	row := func(name string, value func(*result) any) ledger.Row {
		r := ledger.Row{Name: name}
		for i := range results {
			r.Values = append(r.Values, value(&results[i]))
		}
		return r
	}
	var counters []*ledger.Counters
	for i := range results {
		counters = append(counters, &results[i].Counters)
	}
	ledger.Table(w, slices.Concat([]ledger.Row{
		row("", func(r *result) any { return r.System }),
		row("cycles", func(r *result) any { return r.Cycles }),
	}, ledger.Rows(counters), []ledger.Row{
		row("LOG missing", func(r *result) any { return r.LogMissing }),
		row("LOG extra", func(r *result) any { return r.LogExtra }),
	}))
	fmt.Fprintln(w, "\naccepts mail again after, in ms: median (largest)")
	for i := range results {
		kinds := slices.Clone(kindsOf[results[i].System])
		for _, k := range kinds {
			v := results[i].Recovery[k]
			fmt.Fprintf(w, "%-10s %-9s %6d (%d), %d times\n", results[i].System, k, v.Median, v.Max, v.Count)
		}
	}
}
