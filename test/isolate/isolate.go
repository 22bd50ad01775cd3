// Package isolate runs the program that calls it in name spaces of its own for
// processes and mounts. However the program ends, also by SIGKILL, the kernel
// then ends all that it has started and takes back all that it has mounted.
package isolate

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// stage is the environment variable that tells a process which one it is.
const stage = "TEST_ISOLATE_STAGE"

// Run calls program in name spaces of its own and ends with its exit status. It
// is the first thing that main, or TestMain, does. Without root it just calls it.
func Run(program func() int) {
	var code int
	var err error
	switch now := os.Getenv(stage); {
	case os.Geteuid() != 0:
		code = program()
	case now == "":
		code, err = outside()
	case now == "init":
		code, err = initProcess()
	default:
		os.Unsetenv(stage)
		code = program()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "name spaces:", err)
		code = 1
	}
	os.Exit(code)
}

// again is this program once more, for another stage. It dies with its parent.
func again(next string, flags uintptr) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), stage+"="+next)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// outside starts the first process of the new name spaces, passes on the wish
// to end, and waits.
func outside() (int, error) {
	runtime.LockOSThread() // the parent, for Pdeathsig, is a thread
	wishes := make(chan os.Signal, 1)
	signal.Notify(wishes, syscall.SIGINT, syscall.SIGTERM)
	cmd := again("init", unix.CLONE_NEWPID|unix.CLONE_NEWNS)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		for range wishes {
			cmd.Process.Signal(syscall.SIGTERM)
		}
	}()
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if s := exit.Sys().(syscall.WaitStatus); s.Signaled() {
			return 0, err
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// initProcess sets up the name spaces, starts the program itself, and reaps what
// processes leave behind.
func initProcess() (int, error) {
	runtime.LockOSThread()
	wishes := make(chan os.Signal, 1)
	signal.Notify(wishes, syscall.SIGINT, syscall.SIGTERM)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return 0, os.NewSyscallError("mount /", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return 0, os.NewSyscallError("mount /proc", err)
	}
	cmd := again("program", 0)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		for range wishes {
			cmd.Process.Signal(syscall.SIGTERM)
		}
	}()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, os.NewSyscallError("wait", err)
		case pid == cmd.Process.Pid && status.Signaled():
			return 0, fmt.Errorf("%s: %s", os.Args[0], status.Signal())
		case pid == cmd.Process.Pid:
			return status.ExitStatus(), nil
		}
	}
}
