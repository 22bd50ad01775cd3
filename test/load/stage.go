package main

import (
	"errors"
	"os"
	"sync"

	"posthaste/test/harness"
)

// stage is where a measurement takes place: a directory with all its files, the
// file system for the queues, and the systems that run. It is cleared at the end,
// and as well when somebody wants the program to end before.
type stage struct {
	dir     string
	before  string // $TMPDIR
	mu      sync.Mutex
	cleared bool
	volume  *volume // nil: the queues lie in dir
	systems []*harness.Instance
}

// errCleared is the error of what is begun too late.
var errCleared = errors.New("interrupted")

// newStage makes the directory, and has all temporary files made in it.
func newStage() (*stage, error) {
	before := os.Getenv("TMPDIR")
	dir, err := os.MkdirTemp("", "load-")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.Setenv("TMPDIR", dir)) // the systems' users must get through
	}
	return &stage{dir: dir, before: before}, err
}

// mount makes a file system for the queues.
func (s *stage) mount(kind string, size int64, options ...string) error {
	d, err := newVolume(s.dir, kind, size, options...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cleared {
		d.remove()
		return errCleared
	}
	s.volume = d
	return os.Setenv("TMPDIR", d.mount)
}

// watch has a system stopped at the end if nobody did before.
func (s *stage) watch(i *harness.Instance) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cleared {
		return errCleared
	}
	s.systems = append(s.systems, i)
	return nil
}

// begin lays out a system and starts it.
func (s *stage) begin(c harness.Config) (*harness.Instance, error) {
	i, err := harness.New(c)
	if err != nil {
		return nil, err
	}
	if err := s.watch(i); err != nil {
		return nil, err
	}
	s.mu.Lock() // it is stopped before, or when it runs
	defer s.mu.Unlock()
	if s.cleared {
		return nil, errCleared
	}
	if err := i.Start(); err != nil {
		i.Stop()
		return nil, err
	}
	return i, nil
}

// clear stops what runs and removes everything.
func (s *stage) clear() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleared = true
	var err error
	for _, i := range s.systems {
		err = errors.Join(err, i.Halt())
	}
	if s.volume != nil {
		s.volume.remove()
	}
	return errors.Join(err, os.RemoveAll(s.dir), os.Setenv("TMPDIR", s.before))
}
