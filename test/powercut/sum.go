package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// sum adds up the results of runs, line by line, and prints the sums in the
// same form, and as a table.
func sum(from io.Reader, to io.Writer) error {
	var sums []result
	lines := json.NewDecoder(from)
	for {
		var r result
		err := lines.Decode(&r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("line of JSON: %w", err)
		}
		sums = addTo(sums, r)
	}
	for i := range sums {
		if err := json.NewEncoder(to).Encode(sums[i]); err != nil {
			return err
		}
	}
	table(to, sums)
	return nil
}

// addTo adds a result to that of the same kind.
func addTo(sums []result, r result) []result {
	for i := range sums {
		s := &sums[i]
		if s.System != r.System || s.Tier != r.Tier || s.Disk != r.Disk {
			continue
		}
		s.Counters.Add(&r.Counters)
		for _, p := range []struct{ sum, more *int }{{&s.Runs, &r.Runs}, {&s.Cuts, &r.Cuts}, {&s.Again, &r.Again}, {&s.Reloads, &r.Reloads},
			{&s.Kills, &r.Kills}, {&s.OnDisk, &r.OnDisk}, {&s.NotBegun, &r.NotBegun}, {&s.Panics, &r.Panics}} {
			*p.sum += *p.more
		}
		// That of all cuts is not known any more.
		s.Recovery.Median, s.Recovery.Max = max(s.Recovery.Median, r.Recovery.Median), max(s.Recovery.Max, r.Recovery.Max)
		return sums
	}
	return append(sums, r)
}
