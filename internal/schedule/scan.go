package schedule

import (
	"iter"
	"sync"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// scan walks through one queue directory on a goroutine of its own, which gets
// ahead of the loop by a few names only.
type scan struct {
	place  queue.Name
	ids    chan mail.QueueID // nil: not running
	quit   chan struct{}
	wanted bool // begin one (again) as soon as none runs
	flush  bool // the running one takes messages whose time has not come
	next   bool // the next one does
	tried  tried
}

// ahead is how many names a scan may be ahead of the loop.
const ahead = 64

// begin starts the scan if it is wanted and does not run.
func (c *scan) begin(s *Scheduler) {
	if !c.wanted || c.ids != nil || s.stopping {
		return
	}
	if c.place == queue.Incoming {
		s.missed.Store(false)
	}
	c.wanted, c.flush, c.next = false, c.next, false
	if c.place == queue.Deferred {
		c.tried.begin()
	}
	ids, quit := make(chan mail.QueueID, ahead), make(chan struct{})
	c.ids, c.quit = ids, quit
	go s.list(c.place, c.flush, ids, quit)
}

// list sends the names of the messages in a queue that are due, or all. Names
// that cannot be read are logged once per scan.
func (s *Scheduler) list(place queue.Name, all bool, ids chan<- mail.QueueID, quit <-chan struct{}) {
	defer close(ids)
	var once sync.Once
	for id, err := range s.candidates(place, all) {
		if err != nil {
			once.Do(func() { s.log.Warning("scan of the %s queue: %s", place, err) })
			continue
		}
		select {
		case ids <- id:
		case <-quit:
			return
		}
	}
}

// candidates spares the loop the deferred messages whose time has not come.
// There may be a million of them: new mail goes first.
func (s *Scheduler) candidates(place queue.Name, all bool) iter.Seq2[mail.QueueID, error] {
	if place != queue.Deferred || all {
		return s.queue.List(place)
	}
	return func(yield func(mail.QueueID, error) bool) {
		pace := queue.Pace{Busy: s.Busy}
		for f, err := range s.queue.ListStats(place) {
			pace.Step()
			if (err != nil || s.due(f.Stat)) && !yield(f.ID, err) {
				return
			}
		}
	}
}

// due tells whether a message's time has come, as far as its file tells; those
// that it lets pass are checked again when they are claimed. A time further
// ahead than any back-off is left from a clock that jumped, and counts as due.
func (s *Scheduler) due(st queue.Stat) bool {
	wait := st.MTime.Sub(s.clock.Now())
	return wait <= time.Second || wait > max(s.params.MaximalBackoff, s.params.MinimalBackoff)+time.Minute
}

// busyTime is how long after a new message the next one is expected.
const busyTime = 200 * time.Millisecond

// Busy tells whether new mail keeps coming, so that other work should wait.
func (s *Scheduler) Busy() bool {
	newest := s.newest.Load()
	return newest != 0 && s.clock.Elapsed()-time.Duration(newest) < busyTime
}

// end stops a running scan.
func (c *scan) end() {
	if c.ids != nil {
		close(c.quit)
		c.ids = nil
	}
}

// want is a wish from outside.
type want struct {
	incoming bool           // scan the incoming queue
	deferred bool           // scan the deferred queue
	all      bool           // take messages whose time has not come
	purge    bool           // forget dead transports and destinations
	ids      []mail.QueueID // try these deferred messages now
}

func (s *Scheduler) ask(w want) {
	select {
	case s.wants <- w:
	case <-s.quit:
	case <-s.done:
	default:
		go func() {
			select {
			case s.wants <- w:
			case <-s.quit:
			case <-s.done:
			}
		}()
	}
}

// Flush tries all deferred mail now, to dead destinations too (postqueue -f).
func (s *Scheduler) Flush() {
	s.ask(want{incoming: true, deferred: true, all: true, purge: true})
}

// FlushMessages tries some deferred messages now (postqueue -i, -s).
func (s *Scheduler) FlushMessages(ids ...mail.QueueID) {
	s.ask(want{ids: ids})
}

// ScanIncoming looks for new mail: hints may have been lost.
func (s *Scheduler) ScanIncoming() { s.ask(want{incoming: true}) }

// ScanDeferred looks for deferred mail whose time has come.
func (s *Scheduler) ScanDeferred() { s.ask(want{deferred: true}) }

func (s *Scheduler) wish(w want) {
	if s.stopping {
		return
	}
	if w.purge {
		s.purge()
	}
	s.incoming.wanted = s.incoming.wanted || w.incoming
	s.deferred.wanted = s.deferred.wanted || w.deferred
	s.incoming.next = s.incoming.next || w.incoming && w.all
	s.deferred.next = s.deferred.next || w.deferred && w.all
	s.asked = append(s.asked, w.ids...)
}

// purge forgets which transports and destinations are dead.
func (s *Scheduler) purge() {
	for _, t := range s.transports {
		if t.dead {
			s.reviveTransport(t)
		}
		for _, d := range t.destinations {
			if d.dead() {
				d.revive(s)
			}
		}
	}
}

func (s *Scheduler) runDelay() time.Duration { return max(s.params.QueueRunDelay, time.Second) }

// tick is the queue run.
func (s *Scheduler) tick() {
	s.watchClock()
	s.incoming.wanted = true
	s.deferred.wanted = true
	if s.survivors {
		s.enders.add(func() { s.queue.Recover() })
	}
}

// room tells whether one more message of a queue may become active. The last
// tenth is kept for new mail.
func (s *Scheduler) room(c *scan) bool {
	if s.stopping || s.claiming >= 2*loaderCount {
		return false
	}
	limit := min(s.params.ActiveLimit, s.mostMessages())
	if c.place == queue.Deferred {
		limit -= limit / 10
	}
	return len(s.messages) < limit
}

// feed begins scans that are wanted, and takes messages from the two queues in
// turn, one for one, as long as there is room and names are at hand.
func (s *Scheduler) feed() {
	s.incoming.begin(s)
	s.deferred.begin(s)
	for {
		first, second := s.takeIncoming, s.takeDeferred
		if s.turn%2 == 1 {
			first, second = second, first
		}
		if first() {
			s.turn++
		} else if !second() {
			return
		}
	}
}

func (s *Scheduler) takeIncoming() bool {
	if !s.room(&s.incoming) {
		return false
	}
	select {
	case id := <-s.hints:
		s.claimNew(id)
		return true
	default:
	}
	return s.takeScanned(&s.incoming)
}

// takeDeferred takes what was asked for by name before the rest. There may be
// very much of it, a whole site's mail: it is no reason for new mail to wait.
func (s *Scheduler) takeDeferred() bool {
	if len(s.asked) > 0 && s.room(&s.incoming) {
		s.claimAs(&s.deferred, s.asked[0], urgency{any: true, unthrottle: true})
		s.asked = s.asked[1:]
		return true
	}
	return s.room(&s.deferred) && s.takeScanned(&s.deferred)
}

func (s *Scheduler) takeScanned(c *scan) bool {
	select {
	case id, more := <-c.ids:
		s.found(c, id, more)
		return more
	default:
		return false
	}
}

// sources are the channels from which the loop may take names now.
func (s *Scheduler) sources() (hints, incoming, deferred <-chan mail.QueueID) {
	if s.room(&s.incoming) {
		hints, incoming = s.hints, s.incoming.ids
	}
	if s.room(&s.deferred) {
		deferred = s.deferred.ids
	}
	return hints, incoming, deferred
}

// found handles a name from a scan, or its end. A scan that was asked for meanwhile
// begins with the next round of the loop.
func (s *Scheduler) found(c *scan, id mail.QueueID, more bool) {
	switch {
	case !more:
		c.ids, c.flush = nil, false
		c.tried.end()
	case !c.tried.has(id):
		s.claimAs(c, id, urgency{any: c.flush})
	}
}

// claimNew claims a message that has just come.
func (s *Scheduler) claimNew(id mail.QueueID) {
	s.claimAs(&s.incoming, id, urgency{any: s.incoming.flush, fresh: true})
}
