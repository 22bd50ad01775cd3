package fault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	outside := s.outside()
	var planted []string
	for _, queue := range []string{"incoming", "active", "deferred", "hold", "maildrop"} {
		planted = append(planted, s.plant(filepath.Join(s.Spool, queue), outside)...)
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
	before := s.untaken()
	runs = strings.Count(s.LogText(), "status=deferred")
	s.until("queue runs", func() bool { return strings.Count(s.LogText(), "status=deferred") > runs+20 })
	if more := s.untaken() - before; more > 0 {
		t.Errorf("%d more warnings in two queue runs", more)
	}
	t.Logf("%d things planted, %d warnings of files that cannot be taken", len(planted), before)
	if before > 1000 {
		t.Errorf("%d warnings", before)
	}
	for _, path := range planted { // who counts what is left in the queue counts files
		os.RemoveAll(path)
	}
	if c := s.close(); c.Dup > 0 {
		t.Errorf("%d deliveries were repeated", c.Dup)
	}
	if strings.Contains(s.LogText(), "panic") {
		t.Error("a process panicked")
	}
}

// untaken counts the warnings of files in the queue that cannot be taken.
func (s *site) untaken() (n int) {
	for line := range strings.Lines(s.LogText()) {
		// A bogus name is told of at each start.
		if strings.Contains(line, "warning: ") && !strings.Contains(line, "bogus file name") {
			n++
		}
	}
	return n
}

// outside makes a copy of a message that waits, which would be delivered once more
// if a link to it were followed.
func (s *site) outside() (path string) {
	path = filepath.Join(s.Dir, "outside")
	s.until("a deferred message", func() bool {
		files, _ := filepath.Glob(s.Spool + "/deferred/*/*")
		if len(files) == 0 {
			return false
		}
		text, err := os.ReadFile(files[0])
		return err == nil && len(text) > 0 && os.WriteFile(path, text, 0o700) == nil && os.Chmod(path, 0o777) == nil
	})
	return path
}

// plant puts all kinds of things into a queue, and returns their paths.
func (s *site) plant(dir, outside string) (paths []string) {
	// The same name in two queues would be the same message.
	mark := strings.ToUpper(filepath.Base(dir)[:1])
	put := func(name string, how func(path string) error) {
		s.t.Helper()
		path := filepath.Join(dir, name)
		if err := how(path); err != nil {
			s.t.Error(err)
		}
		paths = append(paths, path)
	}
	text := func(content string, mode os.FileMode) func(string) error {
		return func(path string) error {
			return errors.Join(os.WriteFile(path, []byte(content), 0o600), os.Chmod(path, mode))
		}
	}
	link := func(to string) func(string) error {
		return func(path string) error { return os.Symlink(to, path) }
	}
	id := "4abcdefghijk" + mark
	put(id+"LNK", link(outside))
	put(id+"RT", link("/"))
	put(id+"DR", func(path string) error { return os.Mkdir(path, 0o755) })
	put("x", func(path string) error { return os.Mkdir(path, 0o755) })
	put("x/"+id+"LNK", link(outside))
	put(id+"FF", func(path string) error { return unix.Mkfifo(path, 0o700) })
	put(id+"MPTY", text("", 0o777))
	put(id+"TXT", text("no message\n", 0o700))
	put(id+"HARD", func(path string) error { return os.Link(filepath.Join(dir, id+"TXT"), path) })
	put(id+"WN", text("whose?\n", 0o700))
	if err := os.Chown(filepath.Join(dir, id+"WN"), 12345, 12345); err != nil {
		s.t.Error(err)
	}
	for _, name := range []string{"two\nlines", "a b", "..hidden", "-d", "%s%n", strings.Repeat("x", 250), "\xff\xfe"} {
		put(name, text(name, 0o700))
	}
	for k := range 300 {
		put(fmt.Sprintf("junk-%d", k), text("", 0o600))
		put(fmt.Sprintf("4bcdfghjkl%sz%03d", mark, k), text("", 0o600)) // never finished
		put(fmt.Sprintf("4bcdfghjkl%sy%03d", mark, k), text("", 0o700)) // not to be read
	}
	return paths
}
