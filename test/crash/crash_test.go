package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"posthaste/test/harness"
)

// TestKill is the short form of this program: each process of ours is killed
// once, and nothing is lost, repeated without reason, garbled or misrouted. How
// soon mail is accepted again is judged by the long form, which has the machine
// to itself; here it is bounded.
func TestKill(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(filepath.Join(harness.Binaries(), "posthaste")); err != nil {
		t.Skip("SKIPPED: no programs: make build first")
	}
	o := options{Cycles: len(kindsOf[harness.Ours]), Sessions: 3, Seed: uint64(time.Now().UnixNano()), Limit: 20 * time.Second,
		Patience: time.Minute, Control: time.Second, Slack: 5 * time.Second, Progress: func(int, int, string) {}}
	r, err := both(harness.Ours, o)
	if errors.Is(err, harness.ErrUnavailable) {
		t.Skip("SKIPPED: ", err)
	}
	if err != nil {
		t.Fatalf("seed %d: %v", o.Seed, err)
	}
	if err := r.verdict(o.Limit); err != nil {
		t.Errorf("seed %d: %v", o.Seed, err)
	}
	t.Logf("%d messages, %d recipients acknowledged, %d delivered, %d twice; accepted again: %v",
		r.Messages, r.Acked, r.Delivered, r.Dup, r.Recovery)
}

// A run that saw a fault must not pass.
func TestVerdict(t *testing.T) {
	good := func() *result { r := &result{}; r.Delivered = 1; return r }
	if err := good().verdict(time.Second); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*result){
		"loss":      func(r *result) { r.Loss = 1 },
		"log":       func(r *result) { r.LogMissing = 1 },
		"slow":      func(r *result) { r.Recovery = map[kind]recovery{"queue": recovery{}.add(1001 * time.Millisecond)} },
		"no mail":   func(r *result) { r.Delivered = 0 },
		"phantom":   func(r *result) { r.Phantom = 1 },
		"repeated":  func(r *result) { r.DupUnexplained = 1 },
		"misrouted": func(r *result) { r.Misrouted = 1 },
	} {
		r := good()
		spoil(r)
		if r.verdict(time.Second) == nil {
			t.Errorf("%s: passed", name)
		}
	}
	for name, spoil := range map[string]func(*result){
		"deferred": func(r *result) { r.Deferrals = 1 },
		"refused":  func(r *result) { r.Refused = 1 },
		"twice":    func(r *result) { r.Dup = 1 },
	} {
		r := good()
		spoil(r)
		if r.control() == nil {
			t.Errorf("control, %s: passed", name)
		}
	}
}
