package schedule

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"posthaste/internal/config"
	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

// fakeQueue is a queue in memory.
type fakeQueue struct {
	mu      sync.Mutex
	files   map[mail.QueueID]*fakeFile
	logs    map[queue.Name]map[mail.QueueID][]queue.LogEntry
	history []string // "ID place" for every move
	claims  []mail.QueueID
	reads   []fakeRead       // of further recipients
	failing map[string]error // method → error
	world   *fakeWorld       // nil: the time of day is right
}

// fakeRead is a read of further recipients of a message.
type fakeRead struct {
	id    mail.QueueID
	limit int
	at    time.Time
}

type fakeFile struct {
	place      queue.Name
	due        time.Time
	info       record.Info
	recipients []record.Entry
	count      int // recipients made on demand, when recipients is nil
	done       map[int64]bool
	expire     bool
	unthrottle bool
	corrupt    bool
}

func newFakeQueue() *fakeQueue {
	return &fakeQueue{files: map[mail.QueueID]*fakeFile{}, failing: map[string]error{},
		logs: map[queue.Name]map[mail.QueueID][]queue.LogEntry{queue.DeferLog: {}, queue.BounceLog: {}, queue.TraceLog: {}}}
}

// add puts a message into a queue.
func (q *fakeQueue) add(id string, place queue.Name, to ...string) *fakeFile {
	now := time.Now()
	f := &fakeFile{place: place, due: now, done: map[int64]bool{}}
	f.info.Sender, f.info.Arrival, f.info.Created = "sender@a.test", now, now
	f.info.ContentSize = 300
	for i, a := range to {
		f.recipients = append(f.recipients, record.Entry{Recipient: mail.Recipient{Address: mail.Address(a)}, Offset: int64(i + 1)})
	}
	f.count = len(to)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.files[mail.QueueID(id)] = f
	return f
}

// bulk makes a message to count recipients user0@domain0 … spread over domains.
func (q *fakeQueue) bulk(id string, count, domains int) *fakeFile {
	f := q.add(id, queue.Incoming)
	f.count = count
	f.recipients = nil
	f.info.Encoding = mail.Encoding(fmt.Sprint(domains)) // remembered for make
	return f
}

func (f *fakeFile) entry(i int) record.Entry {
	if f.recipients != nil {
		return f.recipients[i]
	}
	var domains int
	fmt.Sscan(string(f.info.Encoding), &domains)
	return record.Entry{Offset: int64(i + 1), Recipient: mail.Recipient{Address: mail.Address(fmt.Sprintf("u%d@d%d.test", i, i%domains))}}
}

func (f *fakeFile) read(from record.Position, limit int) ([]record.Entry, record.Position) {
	var list []record.Entry
	i := int(from)
	for ; i < f.count && (limit == 0 || len(list) < limit); i++ {
		if e := f.entry(i); !f.done[e.Offset] {
			list = append(list, e)
		}
	}
	if i >= f.count {
		return list, 0
	}
	return list, record.Position(i)
}

func (q *fakeQueue) place(id string) queue.Name {
	q.mu.Lock()
	defer q.mu.Unlock()
	if f := q.files[mail.QueueID(id)]; f != nil {
		return f.place
	}
	return "gone"
}

func (q *fakeQueue) Recover() (moved, busy int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range q.files {
		if f.place == queue.Active {
			f.place = queue.Incoming
			moved++
		}
	}
	return moved, 0, q.failing["Recover"]
}

func (q *fakeQueue) List(n queue.Name) iter.Seq2[mail.QueueID, error] {
	q.mu.Lock()
	var ids []mail.QueueID
	for id, f := range q.files {
		if f.place == n {
			ids = append(ids, id)
		}
	}
	q.mu.Unlock()
	return func(yield func(mail.QueueID, error) bool) {
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

func (q *fakeQueue) ListStats(n queue.Name) iter.Seq2[queue.Listed, error] {
	return func(yield func(queue.Listed, error) bool) {
		for id := range q.List(n) {
			if st, err := q.Stat(n, id); err == nil && !yield(queue.Listed{ID: id, Stat: st}, nil) {
				return
			}
		}
	}
}

func (q *fakeQueue) Stat(n queue.Name, id mail.QueueID) (queue.Stat, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if log, found := q.logs[n]; found {
		if len(log[id]) == 0 {
			return queue.Stat{}, queue.ErrGone
		}
		return queue.Stat{Size: 1}, nil
	}
	f := q.files[id]
	if f == nil || f.place != n {
		return queue.Stat{}, queue.ErrGone
	}
	return queue.Stat{MTime: f.due}, nil
}

func (q *fakeQueue) Claim(from queue.Name, id mail.QueueID, o queue.ClaimOptions) (Claim, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.files[id]
	switch {
	case f == nil || f.place != from:
		return nil, queue.ErrGone
	case f.corrupt:
		f.place = queue.Corrupt
		return nil, fmt.Errorf("%w: bad record", queue.ErrCorrupt)
	case !o.Any && from == queue.Deferred && q.future(f.due):
		return nil, queue.ErrFuture
	}
	f.place = queue.Active
	q.claims = append(q.claims, id)
	info := f.info
	info.RecipientCount = int64(f.count)
	info.Unfinished = int64(f.count - len(f.done))
	info.Entries, info.Next = f.read(0, o.Limit)
	return &fakeClaim{q: q, f: f, id: id, about: Claimed{Info: &info, Expire: f.expire, Unthrottle: f.unthrottle}}, nil
}

func (q *fakeQueue) Move(id mail.QueueID, from, to queue.Name) error {
	return q.move(id, to, time.Now())
}

func (q *fakeQueue) move(id mail.QueueID, to queue.Name, due time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.files[id]
	if f == nil {
		return queue.ErrGone
	}
	f.place, f.due = to, due
	q.history = append(q.history, string(id)+" "+string(to))
	return nil
}

func (q *fakeQueue) AppendLog(kind queue.Name, id mail.QueueID, entries ...queue.LogEntry) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.failing["AppendLog "+string(kind)]; err != nil {
		return err
	}
	q.logs[kind][id] = append(q.logs[kind][id], entries...)
	return nil
}

func (q *fakeQueue) ReadLog(kind queue.Name, id mail.QueueID) ([]queue.LogEntry, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.logs[kind][id], nil
}

func (q *fakeQueue) RemoveLog(kind queue.Name, id mail.QueueID) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.logs[kind], id)
	return nil
}

// future tells whether a time has not come, as package queue does with MaxDelay.
func (q *fakeQueue) future(due time.Time) bool {
	if q.world == nil {
		return due.After(time.Now().Add(time.Second))
	}
	wait := due.Sub(q.world.Now())
	return wait > time.Second && wait <= q.world.params.MaximalBackoff+time.Minute
}

type fakeClaim struct {
	q     *fakeQueue
	f     *fakeFile
	id    mail.QueueID
	about Claimed
	ended bool
}

func (c *fakeClaim) Read() Claimed { return c.about }

func (c *fakeClaim) Entries(from record.Position, limit int) ([]record.Entry, record.Position, error) {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	c.q.reads = append(c.q.reads, fakeRead{c.id, limit, time.Now()})
	list, next := c.f.read(from, limit)
	return list, next, c.q.failing["Entries"]
}

func (c *fakeClaim) MarkDone(e record.Entry) error {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	c.f.done[e.Offset] = true
	return nil
}

func (c *fakeClaim) Rest() {}

func (c *fakeClaim) SetWarned() error {
	c.f.info.Warned, c.f.info.WarnAt = true, time.Time{}
	return nil
}

func (c *fakeClaim) SetReported() error {
	c.f.info.Trace &^= mail.TraceRecord
	return nil
}

func (c *fakeClaim) finish(op string, to queue.Name, at time.Time) error {
	if c.ended {
		panic("claim ended twice")
	}
	c.ended = true
	c.q.mu.Lock()
	err := c.q.failing[op]
	c.q.mu.Unlock()
	if err != nil {
		return err
	}
	return c.q.move(c.id, to, at)
}

func (c *fakeClaim) Remove() error            { return c.finish("Remove", "removed", time.Time{}) }
func (c *fakeClaim) Close()                   {}
func (c *fakeClaim) Defer(at time.Time) error { return c.finish("Defer", queue.Deferred, at) }
func (c *fakeClaim) Release() error           { return c.finish("Release", queue.Incoming, time.Now()) }

func (c *fakeClaim) SetAside(reason error) error {
	return errors.Join(queue.ErrCorrupt, reason, c.finish("SetAside", queue.Corrupt, time.Time{}))
}

// fakeWorld holds what a test looks at and steers.
type fakeWorld struct {
	t       testing.TB
	queue   *fakeQueue
	params  Params
	common  config.Common
	set     map[string]string // <transport>_… parameters
	agent   func(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error
	route   func(to mail.Address) (Route, error)
	max     int
	offset  atomic.Int64 // of the time of day, in nanoseconds
	missing map[string]bool

	descriptors int // see Deps

	mu       sync.Mutex
	late     []string // what Deferred was told
	untaken  []string // what Untaken was told
	log      []string
	requests []deliver.Request
	notices  []Notice
	refuse   error // of Notify
	quiet    bool  // keep no log
}

var errUnreachable = errors.New("no such socket")

func newWorld(t testing.TB) *fakeWorld {
	w := &fakeWorld{t: t, queue: newFakeQueue(), params: defaults(), set: map[string]string{}, missing: map[string]bool{}}
	w.queue.world = w
	w.common.DoubleBounceSender = "double-bounce"
	w.agent = sendAll
	w.max = 100
	w.route = func(to mail.Address) (Route, error) {
		return Route{Transport: "smtp", Nexthop: to.Domain()}, nil
	}
	return w
}

func sendAll(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
	for i := range r.Recipients {
		done(mail.RecipientIndex(i), mail.Sent("2.0.0", "ok"))
	}
	return nil
}

func (w *fakeWorld) Agent(service string) (deliver.Agent, int, error) {
	if w.missing[service] {
		return nil, 0, errUnreachable
	}
	return w, w.max, nil
}

func (w *fakeWorld) Deliver(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
	w.mu.Lock()
	w.requests = append(w.requests, r)
	w.mu.Unlock()
	return w.agent(ctx, r, done)
}

func (w *fakeWorld) Resolve(_ context.Context, _, to mail.Address) (Route, error) { return w.route(to) }

func (w *fakeWorld) Notify(_ context.Context, n Notice) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notices = append(w.notices, n)
	return w.refuse
}

func (w *fakeWorld) Now() time.Time         { return time.Now().Add(time.Duration(w.offset.Load())) }
func (w *fakeWorld) Elapsed() time.Duration { return time.Since(epoch) }

var epoch = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)

func (w *fakeWorld) line(format string, args ...any) {
	if w.quiet {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}
func (w *fakeWorld) Info(format string, args ...any)    { w.line(format, args...) }
func (w *fakeWorld) Later(format string, args ...any)   { w.line(format, args...) }
func (w *fakeWorld) Warning(format string, args ...any) { w.line("warning: "+format, args...) }
func (w *fakeWorld) Delivery(service string, id mail.QueueID, to mail.Recipient, word string, st mail.Status, d maillog.Delays) {
	w.line("%s %s: to=<%s>, relay=%s, dsn=%s, status=%s (%s)", service, id, to.Address, st.Relay, st.Code, word, st.Reason)
}

// logged counts the log lines that contain s.
func (w *fakeWorld) logged(s string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.log {
		if strings.Contains(l, s) {
			n++
		}
	}
	return n
}

func (w *fakeWorld) scheduler() *Scheduler {
	return New(w.params, w.common, Deps{
		Queue: w.queue, Resolver: w, Agents: w, Notices: w, Log: w, Clock: w,
		Override:    func(service, suffix string) (string, bool) { v, found := w.set[service+suffix]; return v, found },
		Descriptors: w.descriptors, Unreachable: func(err error) bool { return errors.Is(err, errUnreachable) },
		Deferred: func(id mail.QueueID, to mail.Address) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.late = append(w.late, fmt.Sprintf("%s %s", id, to))
		},
		Untaken: func(id mail.QueueID) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.untaken = append(w.untaken, string(id))
		},
	})
}

// run serves in a bubble with fake time, lets body act, and stops.
func (w *fakeWorld) run(body func(s *Scheduler)) {
	s := w.scheduler()
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	synctest.Wait()
	body(s)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Stop(ctx)
	if err := <-served; err != nil {
		w.t.Error(err)
	}
}

func bubble(t *testing.T, body func(t *testing.T, w *fakeWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { body(t, newWorld(t)) })
}

// defaults are the parameters as their tags say.
func defaults() Params {
	return Params{
		QueueRunDelay: 300 * time.Second, MinimalBackoff: 300 * time.Second, MaximalBackoff: 4000 * time.Second,
		QueueLifetime: 120 * time.Hour, BounceLifetime: 120 * time.Hour, ActiveLimit: 20000, RecipientLimit: 20000,
		RecipientMinimum: 10, TransportRetry: time.Minute, ClogWarnTime: 300 * time.Second,
		InitialConcurrency: 5, ConcurrencyLimit: 20, PositiveFeedback: "1", NegativeFeedback: "1", CohortLimit: 1,
		DestRecipientLimit: 50, SlotCost: 5, SlotLoan: 3, SlotDiscount: 50, MinimumSlots: 3,
		TransportRecipients: 20000, ExtraRecipients: 1000, RefillLimit: 100, RefillDelay: 5 * time.Second,
	}
}
