package privilege

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The rights of a process can be given up only once, so each case runs in a
// copy of the test binary that does what the environment says.
func TestMain(m *testing.M) {
	if role := os.Getenv("PRIVILEGE_TEST"); role != "" {
		err := child(role, os.Getenv("PRIVILEGE_DIR"))
		if errors.Is(err, errors.ErrUnsupported) {
			fmt.Println("SKIP")
			os.Exit(0)
		}
		if err != nil {
			fmt.Println("FAIL:", err)
			os.Exit(1)
		}
		fmt.Println("OK")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(role, dir string) error {
	// Some threads, so that "all threads" means something.
	var wait sync.WaitGroup
	hold := make(chan struct{})
	for range 8 {
		wait.Add(1)
		go func() { defer wait.Done(); <-hold }()
	}
	defer func() { close(hold); wait.Wait() }()
	switch role {
	case "drop":
		u := User{Name: "test", UID: 54321, GID: 54322, Groups: []int{54322, 54323}}
		if _, err := (Drop{User: &u, NoNewPrivileges: true}).Apply(); err != nil {
			return err
		}
		return checkThreads(map[string]string{
			"Uid": "54321 54321 54321 54321", "Gid": "54322 54322 54322 54322",
			"Groups": "54322 54323", "NoNewPrivs": "1", "CapEff": "0000000000000000", "CapPrm": "0000000000000000",
		})
	case "root":
		if _, err := (Drop{User: &User{Name: "toor", UID: 0, GID: 1}}).Apply(); err == nil {
			return fmt.Errorf("becoming root was allowed")
		}
		return nil
	case "sandbox":
		enforced, err := Drop{Sandbox: []Rule{{Path: filepath.Join(dir, "in"), Access: ReadWrite}, {Path: "/proc", Access: ReadOnly}}}.Apply()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "in", "file"), []byte("x"), 0o600); err != nil {
			return err
		}
		_, err = os.ReadFile(filepath.Join(dir, "out", "secret"))
		if enforced != (err != nil) {
			return fmt.Errorf("enforced %v, reading outside: %v", enforced, err)
		}
		fmt.Println("enforced:", enforced)
		return checkThreads(map[string]string{"NoNewPrivs": "1"})
	case "chroot":
		if _, err := (Drop{Chroot: dir}).Apply(); err != nil {
			return err
		}
		if _, err := os.Stat("/out/secret"); err != nil {
			return err
		}
		if wd, err := os.Getwd(); err != nil || wd != "/" {
			return fmt.Errorf("working directory %s, %v", wd, err)
		}
		return nil
	}
	return fmt.Errorf("unknown role %s", role)
}

// checkThreads compares fields of the status of every thread.
func checkThreads(want map[string]string) error {
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(files) < 2 {
		return fmt.Errorf("threads: %v, %v", files, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		for _, line := range strings.Split(string(data), "\n") {
			key, value, _ := strings.Cut(line, ":")
			if w, ok := want[key]; ok && strings.Join(strings.Fields(value), " ") != w {
				return fmt.Errorf("%s: %s is %q, want %q", name, key, value, w)
			}
		}
	}
	return nil
}

func run(t *testing.T, role string) {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"in", "out"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "out", "secret"), []byte("s"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "PRIVILEGE_TEST="+role, "PRIVILEGE_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if err == nil && strings.Contains(string(out), "SKIP") {
		t.Skip("SKIPPED: built with cgo; run with CGO_ENABLED=0")
	}
	if err != nil || !strings.Contains(string(out), "OK") {
		t.Errorf("%s: %v\n%s", role, err, out)
	}
	t.Logf("%s", out)
}

func TestSandbox(t *testing.T) { run(t, "sandbox") }

func TestDrop(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: changing the user needs root")
	}
	run(t, "drop")
	run(t, "root")
	run(t, "chroot")
}

func TestDropWithoutRootKeepsUser(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("runs only without root")
	}
	if _, err := (Drop{User: &User{Name: "x", UID: 54321, GID: 54321}}).Apply(); err != nil {
		t.Fatal(err)
	}
}

func TestLookup(t *testing.T) {
	u, err := Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	if u.UID == 0 || len(u.Groups) == 0 || u.Groups[0] != u.GID {
		t.Errorf("nobody: %+v", u)
	}
	if _, err := Lookup("no-such-user-here"); err == nil {
		t.Error("a user that does not exist was found")
	}
}

// A build with cgo says so, and what to do.
func TestAble(t *testing.T) {
	err := Able()
	if cgo != (err != nil) || err != nil && !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("built with cgo: %t; %v", cgo, err)
	}
}
