package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc: 100 a second on Linux.
const clockTick = 10 * time.Millisecond

// CPU is the processor time of a process tree, with that of its children that
// have ended.
func CPU(root int) (time.Duration, error) {
	if root == 0 {
		return 0, fmt.Errorf("no master process")
	}
	var ticks int64
	for _, pid := range Tree(root) {
		f := Stat(pid)
		if len(f) < 15 {
			continue
		}
		for _, v := range f[11:15] { // utime, stime, cutime, cstime
			n, _ := strconv.ParseInt(v, 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * clockTick, nil
}

// PSS is the memory of a process tree in MiB, shared pages by their share.
func PSS(root int) float64 {
	var kib int64
	for _, pid := range Tree(root) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue
		}
		for l := range strings.SplitSeq(string(b), "\n") {
			if f := strings.Fields(l); len(f) >= 2 && f[0] == "Pss:" {
				n, _ := strconv.ParseInt(f[1], 10, 64)
				kib += n
			}
		}
	}
	return float64(kib) / 1024
}
