package schedule

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

// benchQueue is a queue whose every message exists, with one recipient.
type benchQueue struct {
	*fakeQueue
	removed chan struct{}
}

type benchClaim struct {
	q    *benchQueue
	info record.Info
}

func (q *benchQueue) List(queue.Name) iter.Seq2[mail.QueueID, error] {
	return func(func(mail.QueueID, error) bool) {}
}
func (q *benchQueue) ListStats(queue.Name) iter.Seq2[queue.Listed, error] {
	return func(func(queue.Listed, error) bool) {}
}
func (q *benchQueue) Stat(queue.Name, mail.QueueID) (queue.Stat, error) {
	return queue.Stat{}, queue.ErrGone
}
func (q *benchQueue) RemoveLog(queue.Name, mail.QueueID) error { return nil }
func (q *benchQueue) Claim(_ queue.Name, id mail.QueueID, _ queue.ClaimOptions) (Claim, error) {
	c := &benchClaim{q: q}
	now := time.Now()
	c.info.Sender, c.info.Arrival, c.info.Created = "s@a.test", now, now
	c.info.Unfinished, c.info.RecipientCount = 1, 1
	domain := id[max(0, len(id)-2):]
	c.info.Entries = []record.Entry{{Recipient: mail.Recipient{Address: mail.Address("r@d" + domain + ".test")}, Offset: 1}}
	return c, nil
}

func (c *benchClaim) Read() Claimed { return Claimed{Info: &c.info} }
func (c *benchClaim) Entries(record.Position, int) ([]record.Entry, record.Position, error) {
	return nil, 0, nil
}
func (c *benchClaim) MarkDone(record.Entry) error { return nil }
func (c *benchClaim) Rest()                       {}
func (c *benchClaim) SetWarned() error            { return nil }
func (c *benchClaim) SetReported() error          { return nil }
func (c *benchClaim) Remove() error               { c.q.removed <- struct{}{}; return nil }
func (c *benchClaim) Close()                      {}
func (c *benchClaim) Defer(time.Time) error       { c.q.removed <- struct{}{}; return nil }
func (c *benchClaim) Release() error              { return nil }
func (c *benchClaim) SetAside(error) error        { return nil }

// BenchmarkMessages carries messages with one recipient each from the hint to
// the removal, to 100 destinations, with queue and agents in memory.
func BenchmarkMessages(b *testing.B) {
	w := newWorld(b)
	q := &benchQueue{fakeQueue: w.queue, removed: make(chan struct{}, 1024)}
	s := New(w.params, w.common, Deps{Queue: q, Resolver: w, Agents: benchAgents{}, Notices: w})
	go s.Serve(context.Background())
	ids := make([]mail.QueueID, 1000)
	for i := range ids {
		ids[i] = mail.QueueID(fmt.Sprintf("4cXyZ%d", 1000+i))
	}
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for i := range b.N {
			s.hints <- ids[i%1000] + mail.QueueID(rune('A'+i/1000%26)) + ids[i%1000][5:]
		}
	}()
	for range b.N {
		<-q.removed
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	s.Stop(context.Background())
}

// BenchmarkBacklog chooses entries while 20000 messages of mixed sizes wait.
func BenchmarkBacklog(b *testing.B) {
	w := newWorld(b)
	s := w.scheduler()
	t := s.transport("smtp")
	add := func(n int) {
		s.arrivals++
		m := &message{id: mail.QueueID(fmt.Sprint(s.arrivals)), arrival: s.arrivals, jobs: map[*transport]*job{}}
		m.about.Info = &record.Info{}
		list := make([]routed, n)
		for i := range list {
			list[i] = routed{record.Entry{Recipient: mail.Recipient{Address: "r@x.test"}}, Route{"smtp", fmt.Sprintf("d%d", (int(s.arrivals)+i)%500), "", false}}
		}
		s.assign(m, list)
	}
	for i := range 20000 {
		add(1 + i%40/39*200)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		e := t.next(time.Duration(i))
		j, d := e.peer.job, e.peer.dest
		t.running--
		d.busy--
		d.settle()
		j.inCore -= len(e.recipients)
		if j.inCore == 0 {
			j.retire()
			add(1 + i%40/39*200)
		}
	}
}

type benchAgents struct{}

func (benchAgents) Agent(string) (deliver.Agent, int, error) { return benchAgents{}, 100, nil }
func (benchAgents) Deliver(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
	return sendAll(ctx, r, done)
}
