package main

import (
	"errors"
	"os"
	"path/filepath"
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

// TestReordered is the same with two disks that write in any order, and with one
// more negative control: mailboxes whose directories are not synced.
func TestReordered(t *testing.T) {
	o := short(t)
	o.Cuts, o.Round = 3*perMoment, 3*perMoment
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
		t.Logf("%s: %d cuts; %d recipients acknowledged, %d of them only on the disk; %d repeated; empty after %d ms",
			r.Disk, r.Cuts, r.Acked, r.OnDisk, r.Dup, r.Recovery.Median)
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
	} {
		r := good()
		spoil(r)
		if r.verdict() == nil {
			t.Errorf("%s: passed", name)
		}
	}
}
