package queue

import (
	"errors"
	"io/fs"
	"sync"
)

// syncs makes directories, or a segment of the journal, durable for many callers
// at once: whoever asks while a sync of that name is under way waits for the
// next one, and one sync serves all who wait.
type syncs struct {
	sync func(dir string) error
	mu   sync.Mutex
	dirs map[string]*syncState
	// failures counts syncs that failed, of any name.
	failures int
}

// syncState is the state of one name, guarded by syncs.mu.
type syncState struct {
	running bool
	waiting *syncRound // those the next sync serves; nil: nobody
}

type syncRound struct {
	done chan struct{} // closed after err is set
	err  error
}

// Sync returns when a sync of dir that began after the call has ended. An
// error goes to all it was to serve, and none of them may be acknowledged (R2).
func (s *syncs) Sync(dir string) error {
	s.mu.Lock()
	if s.dirs == nil {
		s.dirs = make(map[string]*syncState)
	}
	d := s.dirs[dir]
	if d == nil {
		d = &syncState{}
		s.dirs[dir] = d
	}
	if d.running {
		if d.waiting == nil {
			d.waiting = &syncRound{done: make(chan struct{})}
		}
		round := d.waiting
		s.mu.Unlock()
		<-round.done
		return round.err
	}
	d.running = true
	s.mu.Unlock()
	err := s.sync(dir)
	s.next(dir, d, err)
	return err
}

// Failures is how many syncs have failed so far. Whoever notes it before a change
// and finds it the same after the sync of that change knows that no sync in
// between has failed: one that did may have dropped the change, and the kernel
// tells only one of those who sync (R2).
func (s *syncs) Failures() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures
}

// next serves those who came while a sync was running, or marks the directory
// as idle. The follow-up runs in its own goroutine so that the caller who
// happened to come first does not pay for all the others.
func (s *syncs) next(dir string, d *syncState, err error) {
	s.mu.Lock()
	if err != nil && !errors.Is(err, fs.ErrPermission) { // that it could not be opened is no such failure
		s.failures++
	}
	round := d.waiting
	d.waiting = nil
	d.running = round != nil
	s.mu.Unlock()
	if round == nil {
		return
	}
	go func() {
		round.err = s.sync(dir)
		s.next(dir, d, round.err)
		close(round.done)
	}()
}

// dirty notes what waits to become durable: directories in which there were
// moves or removals, or files.
type dirty struct {
	mu    sync.Mutex
	names map[string]bool
}

// mark notes the directory of a path.
func (d *dirty) mark(path string) { d.note(dir(path)) }

func (d *dirty) note(name string) {
	d.mu.Lock()
	if d.names == nil {
		d.names = make(map[string]bool)
	}
	d.names[name] = true
	d.mu.Unlock()
}

func (d *dirty) take() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := d.names
	d.names = nil
	return names
}
