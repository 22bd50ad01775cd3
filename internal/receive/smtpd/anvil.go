package smtpd

import (
	"net/netip"
	"sync"
	"time"
)

// Anvil counts what clients do (Postfix anvil(8)). All rows of master.cf in a
// process may share one. It is safe for concurrent use; its memory is bounded
// by the clients that are connected or were within the time unit.
type Anvil struct {
	unit time.Duration

	mu      sync.Mutex
	clients map[anvilKey]*anvilClient // guarded by mu
	swept   time.Time                 // guarded by mu
}

type anvilKey struct {
	service string
	net     netip.Prefix
}

type anvilClient struct {
	sessions int
	since    time.Time // start of the interval the rates count in
	rates    [numEvents]int
}

// event is something that is counted per time unit.
type event uint8

const (
	connectEvent event = iota
	messageEvent
	recipientEvent
	numEvents
)

// NewAnvil makes a counter; unit is the interval of rates.
func NewAnvil(unit time.Duration) *Anvil {
	return &Anvil{unit: unit, clients: map[anvilKey]*anvilClient{}}
}

// connect counts a new session and returns how many the client has now, and its
// connections in this interval.
func (a *Anvil) connect(k anvilKey) (sessions, rate int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.sweep(now)
	c := a.client(k, now)
	c.sessions++
	c.rates[connectEvent]++
	return c.sessions, c.rates[connectEvent]
}

func (a *Anvil) disconnect(k anvilKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.clients[k]; c != nil && c.sessions > 0 {
		c.sessions--
	}
}

// count counts an event and returns its number in this interval.
func (a *Anvil) count(k anvilKey, e event) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.client(k, time.Now())
	c.rates[e]++
	return c.rates[e]
}

func (a *Anvil) client(k anvilKey, now time.Time) *anvilClient {
	c := a.clients[k]
	if c == nil {
		c = &anvilClient{since: now}
		a.clients[k] = c
	}
	if now.Sub(c.since) >= a.unit {
		c.since, c.rates = now, [numEvents]int{}
	}
	return c
}

// sweep forgets clients that are gone, once per time unit.
func (a *Anvil) sweep(now time.Time) {
	if now.Sub(a.swept) < a.unit {
		return
	}
	a.swept = now
	for k, c := range a.clients {
		if c.sessions == 0 && now.Sub(c.since) >= a.unit {
			delete(a.clients, k)
		}
	}
}
