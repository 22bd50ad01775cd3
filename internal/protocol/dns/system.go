package dns

import (
	"context"
	"os"
	"sync"
	"time"
)

// configRecheck is how often resolv.conf is looked at for changes.
const configRecheck = 5 * time.Second

// System is a Resolver that follows a resolv.conf file: when the file changes,
// a new Client takes over, so that a machine may change its network without a
// restart of the mail system.
type System struct {
	path string

	mu      sync.Mutex
	checked time.Time
	stamp   time.Time
	client  *Client
}

// NewSystem reads the file once. The error says why it cannot be read; a
// missing file is none.
func NewSystem(path string) (*System, error) {
	c, err := ReadConfig(path)
	if err != nil {
		return nil, err
	}
	return &System{path: path, checked: time.Now(), stamp: modTime(path), client: New(c)}, nil
}

// Lookup implements Resolver.
func (s *System) Lookup(ctx context.Context, name string, t Type, o Options) (Answer, error) {
	return s.current().Lookup(ctx, name, t, o)
}

// current is the client to ask. A file that became unreadable changes nothing.
func (s *System) current() *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.checked) < configRecheck {
		return s.client
	}
	s.checked = now
	if stamp := modTime(s.path); !stamp.Equal(s.stamp) {
		if c, err := ReadConfig(s.path); err == nil {
			s.client, s.stamp = New(c), stamp
		}
	}
	return s.client
}

func modTime(path string) time.Time {
	st, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}
