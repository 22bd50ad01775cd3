package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"posthaste/test/harness"
	"posthaste/test/process"
	"posthaste/test/traffic"
)

// skipMailboxSyncs makes our system one that does not sync the directories in
// which mailboxes get new mail: strace lets those calls of the broker's children
// do nothing. stop ends that.
func (p *round) skipMailboxSyncs() (stop func(), err error) {
	uid, gid := harness.Mailbox()
	var args []string
	for n := range traffic.Boxes {
		box := filepath.Join(p.mail(), traffic.Box(n))
		for _, dir := range []string{"", "cur", "tmp", "new"} {
			d := filepath.Join(box, dir)
			if err := errors.Join(os.Mkdir(d, 0o700), os.Chown(d, uid, gid)); err != nil {
				return nil, err
			}
		}
		args = append(args, "-P", filepath.Join(box, "new"))
	}
	if err := p.store.settle(); err != nil {
		return nil, err
	}
	broker := process.Role(p.instance.MasterPID(), "broker")
	if len(broker) != 1 {
		return nil, fmt.Errorf("%d processes are the broker", len(broker))
	}
	args = append(args, "-qq", "-f", "-p", fmt.Sprint(broker[0]), "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:retval=0")
	strace := exec.Command("strace", args...)
	strace.Stderr = os.Stderr
	if err := strace.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		strace.Process.Signal(syscall.SIGTERM)
		strace.Wait()
	}
	err = harness.Until(5*time.Second, func() error {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", broker[0]))
		if err == nil && strings.Contains(string(status), "TracerPid:\t0\n") {
			err = errors.New("strace does not trace the broker")
		}
		return err
	})
	if err != nil {
		stop()
	}
	return stop, err
}
