package schedule

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"posthaste/internal/config"
	"posthaste/internal/gang"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
)

// Scheduler is the queue manager. Make it with New and run it with Serve.
type Scheduler struct {
	params Params
	common config.Common
	deps   Deps
	queue  Queue
	log    Log
	clock  Clock

	events  chan func()       // work for the loop
	hints   chan mail.QueueID // new mail
	wants   chan want         // wishes from outside
	quit    chan struct{}     // closed by Stop
	done    chan struct{}     // closed when the loop has ended
	stop    sync.Once
	inCore  atomic.Int64 // recipients in memory, and those about to be
	missed  atomic.Bool  // a hint was dropped
	newest  atomic.Int64 // when the last hint came, on the clock that never jumps
	watch   clockWatch
	seldom  maillog.Seldom
	loaders *pool      // claim, read, resolve
	enders  *pool      // record, notify, defer, remove
	gang    *gang.Gang // calls of agents

	// ctx bounds deliveries and lookups; cut ends it.
	ctx context.Context
	cut context.CancelFunc

	// What follows belongs to the loop.
	transports      map[string]*transport
	readyTransports []*transport
	messages        map[mail.QueueID]*message // active ones; nil while being claimed
	claiming        int
	running         int // deliveries
	arrivals        uint64
	deadCount       int
	stopping        bool
	incoming        scan
	deferred        scan
	turn            int            // which queue is asked first
	asked           []mail.QueueID // messages that were asked for by name
	resting         []*message     // of which nothing is being delivered any more, descriptors.go
	survivors       bool           // agents of an earlier process still hold messages in active
}

// New makes a scheduler. It panics when a dependency that must be set is not.
func New(params Params, common config.Common, deps Deps) *Scheduler {
	if deps.Queue == nil || deps.Resolver == nil || deps.Agents == nil || deps.Notices == nil {
		panic("schedule: Queue, Resolver, Agents and Notices must be set")
	}
	if deps.Log == nil {
		deps.Log = nopLog{}
	}
	if deps.Untaken == nil {
		deps.Untaken = func(mail.QueueID) {}
	}
	if deps.Clock == nil {
		deps.Clock = systemClock{time.Now()}
	}
	params.RecipientMinimum = max(params.RecipientMinimum, 1)
	params.ActiveLimit = max(params.ActiveLimit, 1)
	if params.BounceLifetime > params.QueueLifetime {
		deps.Log.Warning("bounce_queue_lifetime is larger than maximal_queue_lifetime - adjusting bounce_queue_lifetime")
		params.BounceLifetime = params.QueueLifetime
	}
	return &Scheduler{
		params: params, common: common, deps: deps,
		queue: deps.Queue, log: deps.Log, clock: deps.Clock,
		events: make(chan func(), 1024), hints: make(chan mail.QueueID, 4096),
		wants: make(chan want, 16), quit: make(chan struct{}), done: make(chan struct{}),
		transports: map[string]*transport{}, messages: map[mail.QueueID]*message{}, gang: gang.New(),
	}
}

// Pool sizes: enough to keep a disk with group commit busy.
const (
	loaderCount = 16
	enderCount  = 16
)

// Serve runs the scheduler until Stop is called or ctx ends, which stops it in
// haste. It first puts back into incoming what a crash left in active. The
// error is that of the queue when it cannot be read at all.
func (s *Scheduler) Serve(ctx context.Context) error {
	defer close(s.done)
	moved, busy, err := s.queue.Recover()
	if left, some := errors.AsType[*queue.LeftError](err); some {
		s.log.Warning("active queue: %s", left)
	} else if err != nil {
		return fmt.Errorf("active queue: %w", err)
	}
	if moved > 0 {
		s.log.Info("%d messages were active at the last stop; they are tried again", moved)
	}
	s.survivors = busy > 0
	s.ctx, s.cut = context.WithCancel(context.WithoutCancel(ctx))
	defer s.cut()
	s.loaders, s.enders = newPool(loaderCount), newPool(enderCount)
	s.watch.begin(s.clock)
	s.incoming = scan{place: queue.Incoming, wanted: true}
	s.deferred = scan{place: queue.Deferred, wanted: true}
	s.loop(ctx)
	s.loaders.close()
	s.enders.close()
	s.gang.Close()
	return nil
}

// loop is the goroutine that owns everything. It ends when it was told to stop
// and no message is left.
func (s *Scheduler) loop(ctx context.Context) {
	ticker := time.NewTicker(s.runDelay())
	defer ticker.Stop()
	quit, hurry := s.quit, ctx.Done()
	for !s.stopping || len(s.messages) > 0 {
		s.feed()
		s.dispatch()
		s.rest()
		hints, incoming, deferred := s.sources()
		select {
		case f := <-s.events:
			f()
			s.drain()
		case id := <-hints:
			s.claimNew(id)
		case id, more := <-incoming:
			s.found(&s.incoming, id, more)
		case id, more := <-deferred:
			s.found(&s.deferred, id, more)
		case w := <-s.wants:
			s.wish(w)
		case <-ticker.C:
			s.tick()
		case <-quit:
			quit = nil
			s.halt()
		case <-hurry:
			hurry = nil
			s.halt()
			s.cut()
		}
	}
	s.incoming.end()
	s.deferred.end()
}

// drain runs the events that are there already, so that a busy loop makes one
// round for many of them.
func (s *Scheduler) drain() {
	for range 256 {
		select {
		case f := <-s.events:
			f()
		default:
			return
		}
	}
}

// post hands f to the loop. It blocks while the loop is behind, so the loop
// itself must not call it. After the end of the loop f is dropped.
func (s *Scheduler) post(f func()) {
	select {
	case s.events <- f:
	case <-s.done:
	}
}

// after posts f when d has passed.
func (s *Scheduler) after(d time.Duration, f func()) {
	time.AfterFunc(d, func() { s.post(f) })
}

// Arrived says that a message is ready in the incoming queue. It never blocks;
// when too many come at once the incoming queue is scanned instead.
func (s *Scheduler) Arrived(id mail.QueueID) {
	s.newest.Store(int64(s.clock.Elapsed()))
	select {
	case s.hints <- id:
	default:
		if !s.missed.Swap(true) {
			s.ask(want{incoming: true})
		}
	}
	select {
	case <-s.quit: // halt may have been there before it
		s.deps.Untaken(id)
	default:
	}
}

// Stop ends the scheduler: no delivery starts any more, messages of which
// nothing runs go back to incoming, and running deliveries are waited for until
// ctx ends; then they are cut off and their messages go back to incoming too.
// The error is ctx's when deliveries had to be cut off.
func (s *Scheduler) Stop(ctx context.Context) error {
	s.stop.Do(func() { close(s.quit) })
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		s.post(func() { s.cut() })
		<-s.done
		return ctx.Err()
	}
}

// halt begins the end: nothing new starts.
func (s *Scheduler) halt() {
	if s.stopping {
		return
	}
	s.stopping = true
	for _, m := range s.messages {
		if m != nil {
			s.dropWaiting(m)
			s.progress(m, nil)
		}
	}
	s.leaveHints()
}

// leaveHints hands on what was told of and not claimed yet.
func (s *Scheduler) leaveHints() {
	for {
		select {
		case id := <-s.hints:
			s.deps.Untaken(id)
		default:
			if s.missed.Load() {
				s.deps.Untaken("")
			}
			return
		}
	}
}
