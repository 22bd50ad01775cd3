package getopt

import (
	"slices"
	"testing"
)

func TestLong(t *testing.T) {
	args := JoinLong([]string{"-d", "--where", "--dry-run", "-x", "--where=b", "--where"}, "--where")
	if want := []string{"-d", "--where=--dry-run", "-x", "--where=b", "--where"}; !slices.Equal(args, want) {
		t.Errorf("joined: %q", args)
	}
	rest, value, count := TakeLong(args, "--where")
	if !slices.Equal(rest, []string{"-d", "-x"}) || value != "" || count != 3 {
		t.Errorf("%q %q %d", rest, value, count)
	}
	rest, value, count = TakeLong([]string{"--wherever", "--where=a=b"}, "--where")
	if !slices.Equal(rest, []string{"--wherever"}) || value != "a=b" || count != 1 {
		t.Errorf("%q %q %d", rest, value, count)
	}
}
