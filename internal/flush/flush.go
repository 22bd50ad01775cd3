// Package flush keeps, for each site that may ask for its mail, a record of the
// messages that wait for it, Postfix's flush(8): ETRN, postqueue -s and sendmail
// -qR then deliver that site's mail without looking at the rest of the queue.
//
// A record may name messages that are gone, or the same twice; it is emptied
// when the mail is asked for, and grows again with each delivery that fails. So
// nothing has to be taken out when mail is delivered, and what has gathered is
// swept by a request in the site's place now and then. The files are package
// queue's; nothing else is touched.
package flush

import (
	"context"
	"errors"
	"sync"
	"time"

	"posthaste/internal/config"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// Params are the main.cf parameters. Which sites there are is
// Common.FastFlushDomains.
type Params struct {
	Common      config.Common
	RefreshTime time.Duration `cf:"fast_flush_refresh_time" default:"12h" unit:"h" doc:"After this time the mail of a site that did not ask for it is tried in its place."`
	PurgeTime   time.Duration `cf:"fast_flush_purge_time" default:"7d" unit:"d" doc:"After this time an empty record of a site is deleted."`
}

// Queue keeps the records; *queue.Queue does.
type Queue interface {
	AddSite(site string, id mail.QueueID) error
	TakeSite(site string, each func(mail.QueueID)) error
	Sites() ([]queue.Site, error)
	RemoveSite(site string) error
	Stat(queue.Name, mail.QueueID) (queue.Stat, error)
}

// Deps are what the service needs from others.
type Deps struct {
	Queue Queue
	// Eligible tells whether a record is kept for a domain (fast_flush_domains).
	Eligible func(ctx context.Context, domain string) (bool, error)
	// Send asks for deliveries of deferred messages, now.
	Send func(ids ...mail.QueueID)
	Warn func(format string, args ...any)
	Now  func() time.Time // nil: time.Now
}

// Service keeps the records. It is safe for concurrent use.
type Service struct {
	params Params
	deps   Deps

	mu   sync.Mutex
	last map[string]mail.QueueID // the last id in each record, as far as it is known
}

// New makes a service.
func New(p Params, d Deps) *Service {
	if d.Now == nil {
		d.Now = time.Now
	}
	return &Service{params: p, deps: d, last: map[string]mail.QueueID{}}
}

// ErrDenied is the error for a site that is not among fast_flush_domains.
var ErrDenied = errors.New("no record is kept for this site")

// maxSite is the longest name of a site: that of a file.
const maxSite = 255

func (s *Service) eligible(ctx context.Context, site string) error {
	if site == "" || len(site) > maxSite {
		return ErrDenied
	}
	ok, err := s.deps.Eligible(ctx, site)
	if err == nil && !ok {
		err = ErrDenied
	}
	return err
}

// maxKnown bounds the memory of what stands last in each record.
const maxKnown = 10000

// Add notes that a message waits for a site. A message with many recipients
// there is noted once.
func (s *Service) Add(ctx context.Context, site string, id mail.QueueID) error {
	if err := s.eligible(ctx, site); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last[site] == id {
		return nil
	}
	if err := s.deps.Queue.AddSite(site, id); err != nil {
		return err
	}
	if len(s.last) >= maxKnown {
		clear(s.last)
	}
	s.last[site] = id
	return nil
}

// Deferred is Add for a delivery that has failed for now: what does not work
// is told to the log only.
func (s *Service) Deferred(id mail.QueueID, to mail.Address) {
	site := to.Domain()
	if site == "" {
		return
	}
	if err := s.Add(context.Background(), site, id); err != nil && !errors.Is(err, ErrDenied) {
		s.deps.Warn("%s: flush log of %s: %s", id, site, err)
	}
}

// SendSite asks for delivery of the mail that waits for a site.
func (s *Service) SendSite(ctx context.Context, site string) error {
	if err := s.eligible(ctx, site); err != nil {
		return err
	}
	return s.send(site)
}

// maxSeen bounds the memory for ids that stand in a record more than once.
const maxSeen = 100000

// send empties a record and asks for its messages.
func (s *Service) send(site string) error {
	var ids []mail.QueueID
	seen := map[mail.QueueID]bool{}
	s.mu.Lock()
	clear(s.last) // the name of the record may stand for several sites
	err := s.deps.Queue.TakeSite(site, func(id mail.QueueID) {
		if seen[id] {
			return
		}
		if len(seen) < maxSeen {
			seen[id] = true
		}
		if _, err := s.deps.Queue.Stat(queue.Deferred, id); err == nil {
			ids = append(ids, id)
		}
	})
	s.mu.Unlock()
	if len(ids) > 0 {
		s.deps.Send(ids...)
	}
	return err
}

// Refresh sends for sites whose messages have not been asked for in the time
// given, and deletes records that have been empty for fast_flush_purge_time.
func (s *Service) Refresh(age time.Duration) {
	sites, err := s.deps.Queue.Sites()
	if err != nil {
		s.deps.Warn("flush logs: %s", err)
	}
	now := s.deps.Now()
	for _, site := range sites {
		switch {
		case site.Size == 0 && now.Sub(site.Changed) > s.params.PurgeTime:
			err = s.deps.Queue.RemoveSite(site.Name)
		case site.Size > 0 && now.Sub(site.Taken) >= age:
			err = s.send(site.Name)
		default:
			err = nil
		}
		if err != nil {
			s.deps.Warn("flush log %s: %s", site.Name, err)
		}
	}
}

// Serve refreshes at every interval until ctx ends.
func (s *Service) Serve(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.Refresh(s.params.RefreshTime)
		}
	}
}
