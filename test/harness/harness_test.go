package harness

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestOracleStartsAndStops(t *testing.T) {
	i, err := New(Config{System: Postfix})
	if errors.Is(err, ErrUnavailable) {
		t.Skip("SKIPPED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer i.Stop()
	if err := i.Start(); err != nil {
		t.Fatal(err)
	}
	// postlogd writes when it gets round to it.
	for end := time.Now().Add(20 * time.Second); !strings.Contains(i.LogText(), "daemon started"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("log:\n%s", i.LogText())
		}
	}
	if err := i.Halt(); err != nil {
		t.Error(err)
	}
}

func TestMerge(t *testing.T) {
	if got := mergeMain("a = 1\nb = 2\n", "b = 3"); got != "a = 1\nb = 3\n" {
		t.Errorf("main.cf: %q", got)
	}
	base := "smtp unix - - n - - smtp\nrelay unix - - n - - smtp\n"
	if got := mergeMaster(base, "relay unix - - n - 3 smtp\n  -o x=y"); got != "smtp unix - - n - - smtp\nrelay unix - - n - 3 smtp\n  -o x=y\n" {
		t.Errorf("master.cf: %q", got)
	}
}
