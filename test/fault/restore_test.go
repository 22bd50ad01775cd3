package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"posthaste/test/harness"
)

// A queue is restored from a copy of its files, on another file system, so that
// no file has the inode number that it had. All of it is delivered once; with
// short ids the files get names again that fit.
func TestRestoredQueue(t *testing.T) {
	for ids, main := range map[string]string{"long": "", "short": "enable_long_queue_ids = no\n"} {
		t.Run(ids, func(t *testing.T) {
			t.Parallel()
			root(t)
			s := begin(t, setup{main: main})
			s.calm(12)
			s.pile()
			before := s.copy()
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			// Deferred mail is put in order while the system runs, and moves meanwhile.
			err := harness.Until(20*time.Second, func() error { return fits(ids, before, s.queued()) })
			if err != nil {
				t.Error(err)
			}
			if _, err := s.Run("postsuper", "-H", "ALL"); err != nil {
				t.Error(err)
			}
			s.renamed = ids == "short"
			if c := s.close(); c.Dup > 0 {
				t.Errorf("%d deliveries were repeated", c.Dup)
			}
		})
	}
}

// fits tells what is wrong with the names of the messages that were restored.
func fits(ids string, before, after map[string]uint64) error {
	if len(after) != len(before) {
		return fmt.Errorf("%d messages were restored, %d are there", len(before), len(after))
	}
	for name, inode := range after {
		if ids == "short" && !strings.HasSuffix(name, fmt.Sprintf("%X", inode)) {
			return fmt.Errorf("%s has inode number %X", name, inode)
		}
		if _, same := before[name]; ids == "long" && !same {
			return fmt.Errorf("%s has a new name", name)
		}
	}
	return nil
}

// What postsuper -s makes of a restored queue is what the real one makes of it:
// where the one was, the other has nothing to do.
func TestRestoredNames(t *testing.T) {
	for ids, main := range map[string]string{"long": "", "short": "enable_long_queue_ids = no\n"} {
		t.Run(ids, func(t *testing.T) {
			t.Parallel()
			root(t)
			s := begin(t, setup{main: main})
			real, err := s.As(harness.Postfix)
			if errors.Is(err, harness.ErrUnavailable) {
				t.Skip("SKIPPED: ", err)
			}
			s.pile()
			first, second := s.Instance, real
			for range 2 {
				s.copy()
				if _, err := first.Run("postsuper", "-s"); err != nil {
					t.Error(err)
				}
				one := names(s.queued())
				if out, err := second.Run("postsuper", "-s"); err != nil || strings.Contains(out, "renam") {
					t.Errorf("%s: %v\n%s", second.System, err, out)
				}
				if two := names(s.queued()); !slices.Equal(one, two) {
					t.Errorf("%s left %v,\n%s made it %v", first.System, one, second.System, two)
				}
				first, second = second, first
			}
		})
	}
}

// pile fills the queue with mail that waits, some of it on hold.
func (s *site) pile() {
	s.t.Helper()
	s.down(true)
	if r := s.burst(30, 4, 2000); !r.all() {
		s.t.Errorf("while the sink is down: %+v", r)
	}
	held := 0
	for name := range s.queued() {
		if held++; held <= 3 {
			if _, err := s.Run("postsuper", "-h", name); err != nil {
				s.t.Error(err)
			}
		}
	}
}

// copy stops the system and copies its queue file by file into a new file
// system, which takes its place. It returns what was there.
func (s *site) copy() (before map[string]uint64) {
	s.t.Helper()
	if err := s.Halt(); err != nil {
		s.t.Fatal(err)
	}
	s.copies++
	before = s.queued()
	away := s.Dir + "/away"
	os.RemoveAll(away)
	for _, step := range [][]string{{"cp", "-a", s.Spool, away}, {"mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", s.Spool},
		// Inode numbers are given out in order there: some are used up first.
		{"sh", "-c", fmt.Sprintf("seq -f %s/other%%.0f %d | xargs touch", s.Spool, 500*s.copies)},
		{"sh", "-c", "rm " + s.Spool + "/other*"}, {"cp", "-a", away + "/.", s.Spool}} {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			s.t.Fatalf("%v: %v: %s", step, err, out)
		}
	}
	for name, inode := range s.queued() {
		if before[name] == inode {
			s.t.Errorf("%s has the inode number that it had", name)
		}
	}
	return before
}

// queued are the messages in the queue, and their inode numbers.
func (s *site) queued() map[string]uint64 {
	found := map[string]uint64{}
	for _, queue := range []string{"incoming", "active", "deferred", "hold"} {
		filepath.WalkDir(filepath.Join(s.Spool, queue), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				if st, err := d.Info(); err == nil {
					found[d.Name()] = st.Sys().(*syscall.Stat_t).Ino
				}
			}
			return nil
		})
	}
	return found
}

func names(queued map[string]uint64) (list []string) {
	for name := range queued {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
