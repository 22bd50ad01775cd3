package maillog

import (
	"sync"
	"time"
)

// Seldom says what is news: so that something that stays wrong, thousands of files
// that are no messages perhaps, is told of once and not at each look. The zero value
// is ready, and safe for concurrent use.
type Seldom struct {
	mu    sync.Mutex
	since time.Duration
	told  map[string]bool
}

const (
	seldomEvery = time.Hour // then everything is news again
	seldomMost  = 100       // of an hour; this bounds memory as well as the log
)

// News tells whether a thing is to be told of at a moment, which is counted on a
// clock that does not jump. last: it is the last one for a while, whatever comes.
func (s *Seldom) News(thing string, at time.Duration) (news, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told == nil || at-s.since >= seldomEvery {
		s.told, s.since = map[string]bool{}, at
	}
	if s.told[thing] || len(s.told) >= seldomMost {
		return false, false
	}
	s.told[thing] = true
	return true, len(s.told) == seldomMost
}
