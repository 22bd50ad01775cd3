package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"posthaste/test/harness"
	"posthaste/test/ledger"
)

// result is what the cuts of one kind gave: one line of JSON.
type result struct {
	System  harness.System `json:"system"`
	Tier    string         `json:"tier"`
	Disk    string         `json:"disk"`
	Kind    string         `json:"file_system"`
	Options string         `json:"mount_options"`
	Seed    uint64         `json:"seed"`
	Runs    int            `json:"runs"` // that were added up
	Cuts    int            `json:"cuts"`
	Again   int            `json:"cut_again"` // cuts after which the recovery was cut off too
	Reloads int            `json:"reloads"`   // shortly before a cut
	Kills   int            `json:"kills"`     // the same, of one process
	ledger.Counters
	OnDisk   int `json:"only_on_disk"` // acknowledged pairs that nobody but the disk had at the cut
	NotBegun int `json:"not_begun"`    // times that the system did not start after a cut
	Panics   int `json:"panics"`
	Recovery struct {
		Median int `json:"median"`
		Max    int `json:"max"`
	} `json:"recovery_ms"` // from the start to an empty queue
	took   []int
	unrest bool
	ended  bool // the time was over in the middle of a round
}

// add adds what one cut left.
func (r *result) add(f finding, seed uint64, c crash) {
	r.Cuts++
	if f.again {
		r.Again++
	}
	for i := range f.Findings {
		f.Findings[i] = fmt.Sprintf("seed %d, cut %d:%s %s", seed, c.n, f.disk, f.Findings[i])
	}
	r.Counters.Add(&f.Counters)
	r.OnDisk += f.onDisk
	r.Panics += f.panics
	if f.notBegun != nil {
		r.NotBegun++
		r.Findings = append(r.Findings, fmt.Sprintf("seed %d, cut %d:%s %v", seed, c.n, f.disk, f.notBegun))
	}
	r.took = append(r.took, int(f.took.Milliseconds()))
	slices.Sort(r.took)
	r.Recovery.Median, r.Recovery.Max = r.took[len(r.took)/2], r.took[len(r.took)-1]
}

// panics counts the lines of a log that tell of a crash of the program itself.
func panics(log string) int { return strings.Count(log, "panic:") }

// verdict says what is wrong with a result.
func (r *result) verdict() error {
	var wrong []error
	if r.Bad() || r.NotBegun+r.Panics+r.Corrupt > 0 {
		wrong = append(wrong, fmt.Errorf("a counter that must be 0 is not:\n%s", strings.Join(r.Findings, "\n")))
	}
	if r.OnDisk == 0 && !r.ended {
		wrong = append(wrong, errors.New("the disk had nothing to lose"))
	}
	if r.unrest && (r.Reloads == 0 || r.Kills == 0) {
		wrong = append(wrong, fmt.Errorf("%d reloads, %d processes killed", r.Reloads, r.Kills))
	}
	return errors.Join(wrong...)
}

// table prints results side by side.
func table(w io.Writer, results []result) {
	rows := []ledger.Row{{Name: ""}, {Name: "disk"}, {Name: "cuts"}, {Name: "cut again"}, {Name: "reloads"}, {Name: "kills"}, {Name: "only on the disk"},
		{Name: "corrupt"}, {Name: "did not start"}, {Name: "panics"}, {Name: "empty after, ms"}}
	const before = 7 // those of the ledger
	var counters []*ledger.Counters
	for i := range results {
		r := &results[i]
		counters = append(counters, &r.Counters)
		for n, v := range []any{r.System, r.Disk, r.Cuts, r.Again, r.Reloads, r.Kills, r.OnDisk, r.Corrupt, r.NotBegun, r.Panics,
			fmt.Sprintf("%d (%d)", r.Recovery.Median, r.Recovery.Max)} {
			rows[n].Values = append(rows[n].Values, v)
		}
	}
	ledger.Table(w, slices.Concat(rows[:before], ledger.Rows(counters), rows[before:]))
}
