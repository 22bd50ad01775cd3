package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"posthaste/test/harness"
)

// postsuper takes queue ids from its standard input by the hundred thousand, of
// messages that are there and of others, and the time grows with their number
// only.
func TestPostsuperManyIDs(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	i := start(t, "hash_queue_names =\n", nil)
	if err := i.Halt(); err != nil {
		t.Fatal(err)
	}
	few := heldAndDeleted(t, i, 10_000)
	many := heldAndDeleted(t, i, 100_000)
	t.Logf("10,000 ids took %v, 100,000 took %v", few, many)
	if many > 40*few {
		t.Errorf("10,000 ids took %v, 100,000 took %v", few, many)
	}
}

// heldAndDeleted puts messages on hold and deletes them, and returns how long
// both took.
func heldAndDeleted(t *testing.T, i *harness.Instance, count int) time.Duration {
	t.Helper()
	dir, err := os.Stat(filepath.Join(i.Spool, "deferred"))
	if err != nil {
		t.Fatal(err)
	}
	owner := int(dir.Sys().(*syscall.Stat_t).Uid)
	var ids strings.Builder
	for n := range count {
		id := fmt.Sprintf("%05X%d", n%0xF4240, 1000+n)
		if err := os.WriteFile(filepath.Join(i.Spool, "deferred", id), nil, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(i.Spool, "deferred", id), owner, -1); err != nil {
			t.Fatal(err)
		}
		ids.WriteString(id + "\n")
		if n%10 == 0 {
			fmt.Fprintf(&ids, "ABCDE%d\n", n)
		}
	}
	began := time.Now()
	for _, step := range []struct{ option, says string }{{"-h", "Placed on hold"}, {"-d", "Deleted"}} {
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
		defer cancel()
		cmd := i.Command(ctx, "postsuper", step.option, "-")
		cmd.Stdin = strings.NewReader(ids.String())
		out, err := cmd.CombinedOutput()
		if want := fmt.Sprintf("%s: %d messages", step.says, count); err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("%s: %v, not %q: %s", step.option, err, want, tail(string(out)))
		}
	}
	took := time.Since(began)
	for _, name := range []string{"deferred", "hold"} {
		if left, err := os.ReadDir(filepath.Join(i.Spool, name)); err != nil || len(left) > 0 {
			t.Fatalf("%d files are left in %s, %v", len(left), name, err)
		}
	}
	return took
}
