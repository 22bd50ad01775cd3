package main

import (
	"testing"

	"posthaste/test/harness"
)

// An idle connection costs little, and does not keep a new client waiting.
func TestIdle(t *testing.T) {
	st, err := newStage()
	if err != nil {
		t.Fatal(err)
	}
	defer st.clear()
	f, err := idle(st, harness.Ours, 1000)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f KiB per connection, greeting after %s", f.KiB, f.Greeting)
	if f.KiB > 40 || f.KiB <= 0 {
		t.Errorf("%.1f KiB per idle connection", f.KiB)
	}
}
