package smtp

import (
	"slices"
	"sync"
	"time"
)

// maxDemand bounds the destinations whose traffic is remembered.
const maxDemand = 10_000

// cache holds the connections that wait for another message (Postfix:
// scache), by destination and by server address. All sessions in one cache
// belong to one service, so that greeting name, local address and parameters
// are the same; what else makes sessions differ must go into their keys.
type cache struct {
	limit time.Duration // how long a session waits

	mu     sync.Mutex
	closed bool
	byHop  map[string][]*session
	byPeer map[string][]*session
	demand map[string]*demand
}

// demand is the recent traffic to a destination.
type demand struct {
	running int
	before  time.Time // when the last but one delivery began
	last    time.Time // when the last one began
}

func newCache(limit time.Duration) *cache {
	return &cache{limit: limit, byHop: map[string][]*session{}, byPeer: map[string][]*session{}, demand: map[string]*demand{}}
}

// begin notes that a delivery to a destination begins; end goes with it.
func (c *cache) begin(key string) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.demand[key]
	if d == nil {
		if len(c.demand) >= maxDemand {
			c.prune()
		}
		d = &demand{}
		c.demand[key] = d
	}
	d.running++
	d.before, d.last = d.last, now
}

func (c *cache) end(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.demand[key]; d != nil {
		d.running--
	}
}

// prune forgets all destinations without a delivery under way.
func (c *cache) prune() {
	for key, d := range c.demand {
		if d.running == 0 {
			delete(c.demand, key)
		}
	}
}

// busy tells whether mail to a destination is frequent: another delivery is
// running, or one began a moment before the current one. Postfix's queue
// manager tells its agents instead whether more mail is queued.
func (c *cache) busy(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.demand[key]
	return d != nil && (d.running > 1 || !d.before.IsZero() && time.Since(d.before) < c.limit)
}

// put keeps a session until somebody takes it or its time is over.
func (c *cache) put(s *session) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		s.quit()
		return
	}
	defer c.mu.Unlock()
	endpoint := s.peer.endpoint()
	c.byHop[s.hopKey] = append(c.byHop[s.hopKey], s)
	c.byPeer[endpoint] = append(c.byPeer[endpoint], s)
	s.timer = time.AfterFunc(c.limit, func() {
		if c.remove(s) {
			s.quit()
		}
	})
}

// takeHop returns a session for a destination, the one used last, or nil.
func (c *cache) takeHop(key string) *session { return c.take(c.byHop, key) }

// takePeer returns a session to a server address, or nil.
func (c *cache) takePeer(endpoint string) *session { return c.take(c.byPeer, endpoint) }

func (c *cache) take(index map[string][]*session, key string) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := index[key]
	if len(list) == 0 {
		return nil
	}
	s := list[len(list)-1]
	c.unlink(s)
	return s
}

// remove takes a given session out; false means that somebody was faster.
func (c *cache) remove(s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.byHop[s.hopKey], s) {
		return false
	}
	c.unlink(s)
	return true
}

// unlink needs c.mu.
func (c *cache) unlink(s *session) {
	s.timer.Stop()
	drop(c.byHop, s.hopKey, s)
	drop(c.byPeer, s.peer.endpoint(), s)
}

func drop(index map[string][]*session, key string, s *session) {
	list := index[key]
	if i := slices.Index(list, s); i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	if len(list) == 0 {
		delete(index, key)
	} else {
		index[key] = list
	}
}

// drain empties the cache for good and returns what was in it.
func (c *cache) drain() (sessions []*session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, list := range c.byHop {
		sessions = append(sessions, list...)
	}
	for _, s := range sessions {
		c.unlink(s)
	}
	return sessions
}
