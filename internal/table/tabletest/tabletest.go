// Package tabletest is the suite that every type of lookup table must pass. It
// is imported by tests only and touches nothing but the table it is given.
package tabletest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"posthaste/internal/table"
)

// Case says what the table under test holds.
type Case struct {
	Entries map[string]string // keys and the values they must have
	Missing []string          // further keys that must not be found
	Folds   bool              // keys in another case are found too
	Total   bool              // every key is found (static, randmap): only the rest is tested
	Fails   bool              // every lookup is an error
}

// odd are keys that come from the network; each must be answered without an
// error, and without a value unless the table knows every key.
func odd() []string {
	return []string{"", " ", "\x00", "a\x00b", "caf\xe9", "é", "\xff\xfe", "@", ".", "..", "!", "{", "}", "$1", "%s",
		"a\nb", strings.Repeat("x", 100_000), strings.Repeat("(", 5000), "../../etc/passwd", "-q"}
}

// Run tests a table.
func Run(t *testing.T, tab table.Table, c Case) {
	t.Helper()
	ctx := context.Background()
	if c.Fails {
		runFailing(t, ctx, tab)
		return
	}
	for key, want := range c.Entries {
		check(t, ctx, tab, key, want)
		if c.Folds {
			check(t, ctx, tab, strings.ToUpper(key), want)
		}
	}
	for _, key := range append(odd(), c.Missing...) {
		value, found, err := tab.Lookup(ctx, key)
		if err != nil {
			t.Errorf("lookup of %.40q: error %v, want no error", key, err)
		}
		if _, known := c.Entries[key]; found && !c.Total && !known {
			t.Errorf("lookup of %.40q: found %q, want not found", key, value)
		}
		if c.Total && !found {
			t.Errorf("lookup of %.40q: not found", key)
		}
	}
	concurrent(t, ctx, tab, c.Entries)
}

func check(t *testing.T, ctx context.Context, tab table.Table, key, want string) {
	t.Helper()
	value, found, err := tab.Lookup(ctx, key)
	if err != nil || !found || value != want {
		t.Errorf("lookup of %q: %q, %v, %v; want %q", key, value, found, err, want)
	}
}

func runFailing(t *testing.T, ctx context.Context, tab table.Table) {
	t.Helper()
	for _, key := range odd() {
		value, found, err := tab.Lookup(ctx, key)
		if err == nil || found || value != "" {
			t.Errorf("lookup of %.40q: %q, %v, %v; want an error only", key, value, found, err)
		}
	}
}

// concurrent looks up from many goroutines; the race detector and the values
// tell.
func concurrent(t *testing.T, ctx context.Context, tab table.Table, entries map[string]string) {
	t.Helper()
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for range 50 {
				for key, want := range entries {
					if value, found, err := tab.Lookup(ctx, key); err != nil || !found || value != want {
						t.Errorf("concurrent lookup of %q: %q, %v, %v; want %q", key, value, found, err, want)
						return
					}
				}
				tab.Lookup(ctx, fmt.Sprintf("no such key %d", n))
			}
		})
	}
	wg.Wait()
}
