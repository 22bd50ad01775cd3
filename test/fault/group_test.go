package fault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"posthaste/test/harness"
)

// group is a memory cgroup: processes that share a limit, at which the kernel
// kills one of them.
type group struct {
	dir                  string
	limit, usage, events string // its files
}

// newGroup makes a group, which goes away with the test. It skips where none can
// be made. One of version 1 is made within the group that the test itself is in:
// what bounds the test bounds it too.
func newGroup(t *testing.T) *group {
	t.Helper()
	root(t)
	g := &group{limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes", events: "memory.oom_control"}
	parent := filepath.Join("/sys/fs/cgroup/memory", ownGroup("memory"))
	if _, err := os.Stat(filepath.Join(parent, g.limit)); err != nil {
		// Version 2: only a group without processes may have children with limits.
		g = &group{limit: "memory.max", usage: "memory.current", events: "memory.events"}
		parent = "/sys/fs/cgroup"
		if on, _ := os.ReadFile(parent + "/cgroup.subtree_control"); !strings.Contains(string(on), "memory") {
			t.Skip("SKIPPED: no memory cgroup, neither of version 1 nor of version 2")
		}
	}
	dir, err := os.MkdirTemp(parent, "posthaste-test-")
	if err != nil {
		t.Skip("SKIPPED: no memory cgroup can be made: ", err)
	}
	g.dir = dir
	t.Cleanup(func() {
		// Processes that were killed a moment ago may still be in it.
		if err := harness.Until(patience, func() error { return os.Remove(dir) }); err != nil {
			t.Error(err)
		}
	})
	return g
}

// ownGroup is the group of version 1 that this process is in.
func ownGroup(controller string) string {
	text, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(text)) {
		if _, path, ok := strings.Cut(strings.TrimSpace(line), ":"+controller+":"); ok {
			return path
		}
	}
	return "/"
}

// add puts processes into the group, and all that they will start.
func (g *group) add(pids ...int) (failed error) {
	for _, pid := range pids {
		err := os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
		if !errors.Is(err, syscall.ESRCH) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// unlimited is more than there is.
const unlimited = 1 << 50

func (g *group) set(bytes int) error {
	return os.WriteFile(filepath.Join(g.dir, g.limit), []byte(strconv.Itoa(bytes)), 0)
}

func (g *group) used() (n int) {
	text, _ := os.ReadFile(filepath.Join(g.dir, g.usage))
	n, _ = strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

// kills is how many processes the kernel has killed at the limit.
func (g *group) kills() (n int) {
	text, _ := os.ReadFile(filepath.Join(g.dir, g.events))
	for line := range strings.Lines(string(text)) {
		fmt.Sscanf(line, "oom_kill %d", &n)
	}
	return n
}

// squeezeStep is by how much the limit is lowered at a time.
const squeezeStep = 256 << 10

// squeeze lowers the limit to what cannot be taken from the processes: version 1
// says EBUSY then, version 2 kills at once. Whoever wants more gets somebody
// killed. It returns that limit.
func (g *group) squeeze() (limit int, err error) {
	before := g.kills()
	for limit = g.used(); limit > squeezeStep && g.kills() == before; limit -= squeezeStep {
		if err = g.set(limit - squeezeStep); errors.Is(err, syscall.EBUSY) {
			return limit, nil
		}
		if err != nil {
			return limit, err
		}
	}
	return limit, nil
}
