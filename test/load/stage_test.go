package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"posthaste/test/harness"
	"posthaste/test/process"
)

// asProgram has a copy of this test be the program.
const asProgram = "LOAD_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(program())
	}
	os.Exit(m.Run())
}

// A program that is asked to end in the middle leaves no mail system and no file.
func TestSignalClearsTheStage(t *testing.T) {
	dir := t.TempDir()
	for d := dir; d != "/" && os.Geteuid() == 0; d = filepath.Dir(d) { // the system's users must get through
		if st, err := os.Stat(d); err == nil && st.Mode().Perm()&1 == 0 {
			os.Chmod(d, st.Mode().Perm()|0o011)
		}
	}
	cmd := exec.Command(os.Args[0], "-only", "posthaste", "-rounds", "1", "-messages", "1000000", "-sessions", "4", "-sizes", "1", "-disk", "")
	cmd.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+dir, "POSTHASTE_BIN="+harness.Binaries())
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	master := 0
	err := harness.Until(20*time.Second, func() error {
		found, _ := filepath.Glob(dir + "/load-*/mail-*/spool/pid/master.pid")
		if len(found) != 1 {
			return errors.New("no mail system has been started")
		}
		text, err := os.ReadFile(found[0])
		if err == nil {
			master, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err
	})
	if err == nil {
		err = cmd.Process.Signal(syscall.SIGTERM)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%s\n%s", cmd.ProcessState, out.String())
	}
	if !process.Gone(master) {
		t.Errorf("process %d is left", master)
		syscall.Kill(master, syscall.SIGTERM)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
