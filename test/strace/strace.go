// Package strace lets strace change the system calls of processes that run, for
// tests that make calls fail, or slow, or do nothing.
package strace

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"posthaste/test/harness"
	"posthaste/test/process"
)

// Available says why strace cannot be used here; nil: it can.
func Available() error {
	if _, err := exec.LookPath("strace"); err != nil {
		return fmt.Errorf("strace: %w: it is not installed", harness.ErrUnavailable)
	}
	if out, err := exec.Command("strace", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		return fmt.Errorf("strace: %w: it may not trace here: %s", harness.ErrUnavailable, out)
	}
	return nil
}

// Tracer is strace at work.
type Tracer struct {
	cmd *exec.Cmd
	out *os.File // what it saw
}

// attachLimit is how long strace may take to stop and let go all threads.
const attachLimit = 10 * time.Second

// Attach lets strace change the calls of processes, of all their threads, and of
// the processes that they start: rules are what stands behind "inject=" in its
// manual page. args are further arguments. It returns when strace is at work.
func Attach(pids []int, rules []string, args ...string) (*Tracer, error) {
	var calls []string
	for _, r := range rules {
		names, _, _ := strings.Cut(r, ":")
		calls = append(calls, names)
		args = append(args, "-e", "inject="+r)
	}
	out, err := os.CreateTemp("", "strace-")
	if err != nil {
		return nil, err
	}
	args = append([]string{"-f", "-qq", "-o", out.Name(), "-s", "0", "-e", "trace=" + strings.Join(calls, ",")}, args...)
	for _, pid := range pids {
		args = append(args, "-p", fmt.Sprint(pid))
	}
	t := &Tracer{exec.Command("strace", args...), out}
	t.cmd.Stderr = os.Stderr
	if err := t.cmd.Start(); err != nil {
		return nil, errors.Join(err, t.forget())
	}
	err = harness.Until(attachLimit, func() error { return traced(pids) })
	if err != nil {
		t.Detach()
		return nil, err
	}
	return t, nil
}

// traced tells whether all threads of the processes are traced.
func traced(pids []int) error {
	for _, pid := range pids {
		for _, thread := range process.Threads(pid) {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
			if err == nil && strings.Contains(string(status), "TracerPid:\t0\n") {
				return fmt.Errorf("strace does not trace process %d", pid)
			}
		}
	}
	return nil
}

func (t *Tracer) forget() error { return errors.Join(t.out.Close(), os.Remove(t.out.Name())) }

// Detach lets the processes go on as if nothing had been, and tells how many
// calls were changed.
func (t *Tracer) Detach() (changed int, err error) {
	defer t.forget()
	err = t.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(attachLimit, func() { t.cmd.Process.Kill() })
	defer late.Stop()
	t.cmd.Wait() // it ends by the signal
	if errors.Is(err, os.ErrProcessDone) {
		return 0, errors.New("strace ended by itself")
	}
	return t.Changed(), err
}

// Changed tells how many calls were changed so far.
func (t *Tracer) Changed() int {
	text, _ := os.ReadFile(t.out.Name())
	return bytes.Count(text, []byte(" (INJECTED")) + bytes.Count(text, []byte(" (DELAYED)"))
}
