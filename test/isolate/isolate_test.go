package isolate

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The variables tell a copy of this test what to do.
const (
	helperVar = "ISOLATE_TEST"
	markVar   = "ISOLATE_TEST_MARK"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperVar) == "" {
		os.Exit(m.Run())
	}
	Run(helper)
}

// helper mounts something, leaves a process behind, says so, and waits or ends.
func helper() int {
	dir := os.Getenv(markVar)
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		println("mount:", err.Error())
		return 2
	}
	left := exec.Command("sleep", "1000")
	if err := left.Start(); err != nil {
		println(err.Error())
		return 3
	}
	os.Stdout.WriteString(strconv.Itoa(left.Process.Pid) + "\n")
	if os.Getenv(helperVar) == "wait" {
		time.Sleep(time.Hour)
	}
	return 7
}

// TestNothingIsLeft looks for the mount and the process that a program left when
// it ended by itself, and when it was killed.
func TestNothingIsLeft(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: it must be run by root")
	}
	for _, how := range []string{"end", "wait"} {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), helperVar+"="+how, markVar+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 20)
		n, err := out.Read(b)
		if pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n]))); err != nil || pid < 2 || pid > 100 {
			t.Errorf("%s: pid %q in the name space: %v", how, b[:n], err)
		}
		if how == "wait" {
			cmd.Process.Kill()
		}
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); how == "end" && code != 7 {
			t.Errorf("exit status %d", code)
		}
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil || strings.Contains(string(mounts), dir) {
			t.Errorf("%s: %s is mounted here, %v", how, dir, err)
		}
		for end := time.Now().Add(10 * time.Second); left(dir); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: a process is left", how)
			}
		}
	}
}

// left tells whether any process has the mark in its environment.
func left(mark string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), mark) {
			return true
		}
	}
	return false
}
