package fault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Things that are no messages lie in the queue, thousands of them. They are left
// alone or set aside, with a bounded number of words, nothing is read through a
// link, and mail passes by.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	root(t)
	s := begin(t, setup{})
	s.calm(12)
	s.down(true)
	if r := s.burst(12, 4, 2000); !r.all() {
		t.Errorf("while the sink is down: %+v", r)
	}
	planted := 0
	for _, queue := range []string{"incoming", "active", "deferred", "hold", "maildrop"} {
		planted += s.plant(filepath.Join(s.Spool, queue))
	}
	for range 2 { // with them there, and started among them
		s.flush()
		if r := s.burst(24, 4, 2000); !r.all() {
			t.Errorf("among foreign files: %+v", r)
		}
		if err := errors.Join(s.Halt(), s.Start()); err != nil {
			t.Fatal(err)
		}
	}
	// They are told of once, not again with each queue run.
	runs := strings.Count(s.LogText(), "status=deferred")
	s.until("queue runs", func() bool { return strings.Count(s.LogText(), "status=deferred") > runs+20 })
	before := s.logged("warning:")
	runs = strings.Count(s.LogText(), "status=deferred")
	s.until("queue runs", func() bool { return strings.Count(s.LogText(), "status=deferred") > runs+20 })
	if more := s.logged("warning:") - before; more > 0 {
		t.Errorf("%d more warnings in two queue runs", more)
	}
	t.Logf("%d things planted, %d warnings", planted, s.logged("warning:"))
	if c := s.close(); c.Dup > 0 {
		t.Errorf("%d deliveries were repeated", c.Dup)
	}
	if strings.Contains(s.LogText(), "panic") {
		t.Error("a process panicked")
	}
}

// plant puts all kinds of things into a queue, and returns how many.
func (s *site) plant(dir string) (n int) {
	check := func(err error) {
		s.t.Helper()
		n++
		if err != nil {
			s.t.Error(err)
		}
	}
	// The same name in two queues would be the same message.
	mark := strings.ToUpper(filepath.Base(dir)[:1])
	in := func(name string) string {
		return filepath.Join(dir, strings.Replace(strings.Replace(name, "4abc", "4abc"+mark, 1), "4bcd", "4bcd"+mark, 1))
	}
	// A message outside that would be delivered once more, if a link were followed.
	outside := filepath.Join(s.Dir, "outside."+filepath.Base(dir))
	for name := range s.queued() {
		for _, path := range []string{"deferred/" + name, "active/" + name, "incoming/" + name} {
			if text, err := os.ReadFile(filepath.Join(s.Spool, path)); err == nil {
				check(errors.Join(os.WriteFile(outside, text, 0o700), os.Chmod(outside, 0o777)))
			}
		}
		if files, _ := filepath.Glob(s.Spool + "/deferred/*/" + name); len(files) > 0 {
			text, _ := os.ReadFile(files[0])
			check(errors.Join(os.WriteFile(outside, text, 0o700), os.Chmod(outside, 0o777)))
		}
	}
	check(os.Symlink(outside, in("4abcdefghijkLNK")))
	check(os.Symlink("/", in("4abcdefghijkROOT")))
	check(os.Mkdir(in("4abcdefghijkDIR"), 0o700))
	check(os.Mkdir(in("x"), 0o755))
	check(os.Symlink(outside, in("x/4abcdefghijkLNK")))
	check(unix.Mkfifo(in("4abcdefghijkFIFO"), 0o700))
	check(os.WriteFile(in("4abcdefghijkEMPTY"), nil, 0o700))
	check(os.Chmod(in("4abcdefghijkEMPTY"), 0o777))
	check(os.WriteFile(in("4abcdefghijkTEXT"), []byte("no message\n"), 0o700))
	check(os.Link(in("4abcdefghijkTEXT"), in("4abcdefghijkLINK")))
	check(os.WriteFile(in("4abcdefghijkUID"), []byte("whose?\n"), 0o700))
	check(os.Chown(in("4abcdefghijkUID"), 12345, 12345))
	for _, name := range []string{"two\nlines", "a b", "..hidden", "-d", "%s%n", strings.Repeat("x", 250), "\xff\xfe"} {
		check(os.WriteFile(in(name), []byte(name), 0o700))
	}
	for k := range 1000 {
		check(os.WriteFile(in(fmt.Sprintf("junk-%d", k)), nil, 0o600))
		check(os.WriteFile(in(fmt.Sprintf("4bcdfghjklmnZ%03d", k)), nil, 0o600)) // never finished
	}
	if len(s.queued()) == 0 {
		s.t.Error(syscall.ENOENT)
	}
	return n
}
