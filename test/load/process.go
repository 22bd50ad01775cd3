package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"posthaste/test/process"
)

// clockTick is the unit of times in /proc: 100 a second on Linux.
const clockTick = 10 * time.Millisecond

// treeCPU is the processor time of a process tree, with that of its children
// that have ended.
func treeCPU(root int) (time.Duration, error) {
	if root == 0 {
		return 0, fmt.Errorf("no master process")
	}
	var ticks int64
	for _, pid := range process.Tree(root) {
		f := process.Stat(pid)
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

// watchPSS samples the memory of a process tree until the returned function is
// called, which gives the largest sum in MiB.
func watchPSS(root int) func() float64 {
	stop, done := make(chan struct{}), make(chan float64)
	go func() {
		peak := 0.0
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			peak = max(peak, pss(root))
			select {
			case <-stop:
				done <- peak
				return
			case <-tick.C:
			}
		}
	}()
	return func() float64 { close(stop); return <-done }
}

func pss(root int) float64 {
	var kib int64
	for _, pid := range process.Tree(root) {
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

// calm lets the timers of this process be half a millisecond late. The
// runtime's watcher thread asks for a wake-up every 20 µs; what that takes from
// the processors, the systems measured would miss. The systems decide on
// their own timers: only threads that are there now are changed, not the
// first, and it is they that wait.
func calm() {
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		if t.Name() != strconv.Itoa(os.Getpid()) {
			os.WriteFile("/proc/"+t.Name()+"/timerslack_ns", []byte("500000"), 0)
		}
	}
}
