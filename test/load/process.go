package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc: 100 a second on Linux.
const clockTick = 10 * time.Millisecond

// tree lists the process and all its descendants.
func tree(root int) []int {
	children := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		f, pid := statFields(path)
		if len(f) > 1 {
			if parent, err := strconv.Atoi(f[1]); err == nil {
				children[parent] = append(children[parent], pid)
			}
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// statFields are the fields of a stat file behind the command name.
func statFields(path string) (fields []string, pid int) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, 0
	}
	s := string(b)
	pid, _ = strconv.Atoi(s[:strings.IndexByte(s, ' ')])
	return strings.Fields(s[strings.LastIndexByte(s, ')')+1:]), pid
}

// treeCPU is the processor time of a process tree, with that of its children
// that have ended.
func treeCPU(root int) (time.Duration, error) {
	if root == 0 {
		return 0, fmt.Errorf("no master process")
	}
	var ticks int64
	for _, pid := range tree(root) {
		f, _ := statFields(fmt.Sprintf("/proc/%d/stat", pid))
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
	for _, pid := range tree(root) {
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
