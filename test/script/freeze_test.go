package script

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"posthaste/test/harness"
)

// cmdFreeze stops the process of the queue manager as it is (SIGSTOP), until
// thaw or the end of the scenario.
func cmdFreeze(ts *testscript.TestScript, neg bool, args []string) {
	s := sceneOf(ts)
	pid, err := s.queueManager()
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGSTOP))
	ts.Defer(func() { syscall.Kill(pid, syscall.SIGCONT) }) // or it could not be stopped
	ts.Check(harness.Until(patience, func() error { return stands(pid) }))
}

// stands tells whether a process has stopped: a thread goes on until it next
// looks for signals, which on a busy machine may be a while.
func stands(pid int) error {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(stats) == 0 {
		return fmt.Errorf("process %d has no threads: %w", pid, err)
	}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return err
		}
		// The state stands behind the name, which may hold anything.
		if _, rest, _ := strings.Cut(string(text[max(0, bytes.LastIndexByte(text, ')')):]), " "); !strings.HasPrefix(rest, "T") {
			return fmt.Errorf("%s: not stopped yet: %.1s", name, rest)
		}
	}
	return nil
}

// cmdThaw lets it go on.
func cmdThaw(ts *testscript.TestScript, neg bool, args []string) {
	pid, err := sceneOf(ts).queueManager()
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGCONT))
}

// queueManager finds the child of master that is the queue manager.
func (s *scene) queueManager() (int, error) {
	text, err := os.ReadFile(filepath.Join(s.i.Spool, "pid/master.pid"))
	if err != nil {
		return 0, err
	}
	master := strings.TrimSpace(string(text))
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		status, _ := os.ReadFile(dir + "/status")
		command, _ := os.ReadFile(dir + "/cmdline")
		words := strings.Split(string(bytes.TrimRight(command, "\x00")), "\x00")
		queue := words[0] == "qmgr" || words[len(words)-1] == "queue"
		if queue && bytes.Contains(status, []byte("\nPPid:\t"+master+"\n")) {
			return strconv.Atoi(filepath.Base(dir))
		}
	}
	return 0, fmt.Errorf("master %s has no queue manager", master)
}

// cmdClock begins to measure time.
func cmdClock(ts *testscript.TestScript, neg bool, args []string) { sceneOf(ts).clock = time.Now() }

// cmdElapsed says that so much time has passed since clock, or not: elapsed TIME.
func cmdElapsed(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: elapsed TIME")
	}
	want, err := time.ParseDuration(args[0])
	ts.Check(err)
	if got := time.Since(sceneOf(ts).clock); got >= want == neg {
		ts.Fatalf("%s have passed", got)
	}
}
