package dns

import (
	"sync"
	"time"
)

// Bounds of what is kept, and for how long. Name servers cache themselves; this
// cache only spares the questions of a burst of mail to the same place.
const (
	cacheSize      = 10_000
	maxTTL         = 10 * time.Minute
	maxNegativeTTL = time.Minute
)

type cacheKey struct {
	name   string // lower case
	t      Type
	dnssec bool
}

type cacheEntry struct {
	answer  Answer
	err     *Error
	expires time.Time
}

// cache holds recent answers. mu guards entries.
type cache struct {
	mu      sync.Mutex
	size    int
	entries map[cacheKey]cacheEntry
}

func newCache(size int) *cache { return &cache{size: size, entries: map[cacheKey]cacheEntry{}} }

// get returns an answer or error that still holds. The records are shared:
// callers must not change them.
func (c *cache) get(key cacheKey) (Answer, error, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || time.Now().After(e.expires) {
		return Answer{}, nil, false
	}
	if e.err != nil {
		return Answer{}, e.err, true
	}
	return e.answer, nil, true
}

func (c *cache) put(key cacheKey, a Answer, err *Error, ttl time.Duration) {
	if ttl <= 0 {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= c.size {
		c.evict(now)
	}
	c.entries[key] = cacheEntry{a, err, now.Add(ttl)}
}

// evict makes room: what has expired goes, and when that is not enough,
// whatever comes first, which in a Go map is any.
func (c *cache) evict(now time.Time) {
	for k, e := range c.entries {
		if now.After(e.expires) {
			delete(c.entries, k)
		}
	}
	for k := range c.entries {
		if len(c.entries) < c.size*9/10 {
			return
		}
		delete(c.entries, k)
	}
}
