package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posthaste/test/disk"
	"posthaste/test/harness"
	"posthaste/test/isolate"
)

// The tests mount file systems, which go away with the name spaces.
func TestMain(m *testing.M) { isolate.Run(m.Run) }

// TestSnapshots is the short form of this program: a few cuts, and the negative
// control with syncs that do nothing.
func TestSnapshots(t *testing.T) {
	o := short(t)
	o.Cuts, o.Round = 10, 5
	played(t, o, choose(snapshot, []string{"ext4", "ext4,mail"}, nil))
}

// TestUnrest is the same with a reload, or a process that is killed, shortly
// before each cut, and TestShortIDs with messages that are synced one by one.
func TestUnrest(t *testing.T) {
	o := short(t)
	o.Cuts, o.Round = 4, 4
	played(t, o, choose(snapshot, []string{"ext4,mail,unrest"}, nil))
}

func TestShortIDs(t *testing.T) {
	o := short(t)
	o.Cuts, o.Round = 4, 4
	played(t, o, choose(snapshot, []string{"ext4,mail,short"}, nil))
}

// TestReordered is the same as TestSnapshots with two disks that write in any order, and with one
// more negative control: mailboxes that are not synced.
func TestReordered(t *testing.T) {
	o := short(t)
	o.Cuts, o.Round = 2*perMoment, 2*perMoment
	played(t, o, choose(reordered, []string{"2*ext4"}, nil))
}

// short are the options of a short run; it skips when none is possible.
func short(t *testing.T) options {
	t.Helper()
	if err := available(); err != nil {
		t.Skip("SKIPPED: ", err)
	}
	if _, err := os.Stat(filepath.Join(harness.Binaries(), "posthaste")); err != nil {
		t.Skip("SKIPPED: no programs: make build first")
	}
	return options{Control: 2, Sessions: 3, Seed: uint64(time.Now().UnixNano()), Slack: 4 * time.Second,
		Patience: time.Minute, Dir: t.TempDir()}
}

// played plays a run and judges it.
func played(t *testing.T, o options, on []variant) {
	t.Helper()
	if len(on) == 0 {
		t.Fatal("no disks")
	}
	results, err := both(harness.Ours, o, on)
	if errors.Is(err, harness.ErrUnavailable) || errors.Is(err, disk.ErrNoDevice) {
		t.Skip("SKIPPED: ", err)
	}
	if err != nil {
		t.Fatalf("seed %d: %v", o.Seed, err)
	}
	for _, r := range results {
		if err := r.verdict(); err != nil {
			t.Errorf("%s, seed %d: %v", r.Disk, o.Seed, err)
		}
		t.Logf("%s: %d cuts, %d of them again during recovery; %d recipients acknowledged, %d of them only on the disk; %d repeated; empty after %d ms",
			r.Disk, r.Cuts, r.Again, r.Acked, r.OnDisk, r.Dup, r.Recovery.Median)
	}
}

// A run that saw a fault must not pass, nor one that had nothing to lose.
func TestVerdict(t *testing.T) {
	good := func() *result { return &result{OnDisk: 1} }
	if err := good().verdict(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*result){
		"loss":         func(r *result) { r.Loss = 1 },
		"phantom":      func(r *result) { r.Phantom = 1 },
		"repeated":     func(r *result) { r.DupUnexplained = 1 },
		"stuck":        func(r *result) { r.Stuck = 1 },
		"corrupt":      func(r *result) { r.Corrupt = 1 },
		"not begun":    func(r *result) { r.NotBegun = 1 },
		"panic":        func(r *result) { r.Panics = 1 },
		"nothing held": func(r *result) { r.OnDisk = 0 },
		"nobody died":  func(r *result) { r.unrest, r.Reloads = true, 1 },
	} {
		r := good()
		spoil(r)
		if r.verdict() == nil {
			t.Errorf("%s: passed", name)
		}
	}
}

// What runs print can be added up, each kind of disk by itself.
func TestSum(t *testing.T) {
	var lines, sums bytes.Buffer
	for n, name := range []string{"a", "b", "a"} {
		r := result{OnDisk: 1}
		r.Disk, r.Runs, r.Cuts, r.Again, r.Acked = name, 1, 10+n, n, 100
		if err := json.NewEncoder(&lines).Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := sum(&lines, &sums); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"disk":"a"`, `"runs":2,"cuts":22,"cut_again":2`, `"acked":200`, `"runs":1,"cuts":11`} {
		if !strings.Contains(sums.String(), want) {
			t.Errorf("%s is not in\n%s", want, &sums)
		}
	}
	if err := sum(strings.NewReader("{"), io.Discard); err == nil {
		t.Error("half a line is no error")
	}
}
