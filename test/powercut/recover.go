package main

import (
	"errors"
	"sync"
	"time"

	"posthaste/test/ledger"
	"posthaste/test/traffic"
)

// finding is what one cut left.
type finding struct {
	ledger.Counters
	again    bool          // the power was cut once more during the recovery
	disk     string        // what a cut has made of the disks
	onDisk   int           // acknowledged, and nowhere else than on the disk
	notBegun error         // the system did not start on what was left
	panics   int           // in its log
	took     time.Duration // from the start of the system to an empty queue
}

// arrivals collects what the sink gets after a cut.
type arrivals struct {
	mu   sync.Mutex
	list []ledger.Delivery
}

func (a *arrivals) add(d ledger.Delivery) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, d)
}

// How long an empty queue is watched when something is missing: a journal may
// still be replayed. In a negative control something is.
const (
	grace        = 2 * time.Second
	controlGrace = 500 * time.Millisecond
)

// recover starts the system on what a cut left, waits until its queue is empty,
// and counts. Sometimes the power is cut once more while the system starts.
func (p *round) recover(c crash) (finding, error) {
	books := p.books
	if !p.v.control() && p.random.IntN(againOneIn) == 0 {
		var err error
		if c, books, err = p.interrupted(c); err != nil {
			return finding{}, err
		}
	}
	return p.recoverFrom(books, c)
}

// One recovery of so many is interrupted, at a moment within one of these times:
// while the queue is being repaired, or when that may have become durable.
const (
	againOneIn = 3
	againSoon  = 500 * time.Millisecond
	againLate  = 2500 * time.Millisecond
)

// interrupted begins the recovery from a cut, while mail comes in already, and
// cuts the power again. It returns that cut, and the books before it.
func (p *round) interrupted(c crash) (next crash, books *ledger.Ledger, err error) {
	if err := p.store.expose(c); err != nil {
		return c, nil, err
	}
	defer func() { err = errors.Join(err, p.store.conceal(c)) }()
	books = p.books.AsOf(c.from, c.to)
	p.sink.Book(books.Delivered)
	p.sink.Set(traffic.Refusing) // so that something is still waiting
	load := p.load(books)
	load.Start()
	defer load.Stop()
	started := make(chan error, 1)
	go func() { started <- p.instance.Start() }()
	within := []time.Duration{againSoon, againLate}[p.random.IntN(2)]
	err = p.o.Quit.Wait(time.Duration(p.random.Int64N(int64(within))))
	if err == nil {
		next, err = p.store.interrupt(c)
	}
	load.Stop()
	err = errors.Join(err, <-started, p.instance.Halt())
	if err == nil && !p.v.mailToo {
		_, err = traffic.ReadMailboxes(books, p.mail())
		err = errors.Join(err, p.emptyMailboxes())
	}
	return next, books, err
}

// recoverFrom recovers from a cut. The books know what was before it.
func (p *round) recoverFrom(books *ledger.Ledger, c crash) (f finding, err error) {
	f.again = c.again > 0
	f.onDisk = books.AsOf(c.from, c.to).Count(false, p.o.Slack).Loss
	if f.disk, err = p.store.show(c); err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.store.hide(c)) }()
	after := p.arrivals()
	count := func() (ledger.Counters, error) { return p.count(after.in(books, c)) }
	begin, logged := time.Now(), len(p.instance.LogText())
	if f.notBegun = p.instance.Start(); f.notBegun == nil {
		err = p.drain(count)
	}
	f.took = time.Since(begin)
	err = errors.Join(err, p.o.Quit.Wait(0)) // it ends the commands of the system too
	if err := errors.Join(err, p.instance.Halt()); err != nil {
		return f, err
	}
	f.panics = panics(p.instance.LogText()[logged:])
	f.Counters, err = count()
	if p.v.mailToo {
		return f, err
	}
	return f, errors.Join(err, p.emptyMailboxes())
}

// arrivals collects what the sink gets from now on, and refuses nothing.
func (p *round) arrivals() *arrivals {
	a := &arrivals{}
	p.sink.Book(a.add)
	p.sink.Set(traffic.Normal)
	return a
}

// in is books at a cut, with what arrived after it.
func (a *arrivals) in(books *ledger.Ledger, c crash) *ledger.Ledger {
	then := books.AsOf(c.from, c.to)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.list {
		then.Delivered(d)
	}
	return then
}

// drain waits until the queue is empty and nothing is missing, or nothing more
// has come for a while. The queue may look empty at first: what only the journal
// has comes back into it while the system starts.
func (p *round) drain(count func() (ledger.Counters, error)) error {
	watch := grace
	if p.v.control() {
		watch = controlGrace
	}
	limit := time.Now().Add(p.o.Patience)
	until, missing := limit, -1
	for {
		if err := traffic.Drain(p.instance, time.Until(limit), p.o.Quit, func(int) {}); err != nil {
			return err
		}
		now, err := count()
		left := now.Loss + now.Stuck
		if err != nil || left == 0 || time.Now().After(until) || time.Now().After(limit) {
			return err
		}
		if left != missing {
			until, missing = time.Now().Add(watch), left
		}
		if err := p.o.Quit.Wait(lookPause); err != nil {
			return err
		}
	}
}

// lookPause is between two looks for what is missing.
const lookPause = 50 * time.Millisecond

// count judges what is known so far, with what is in mailboxes and queue.
func (p *round) count(books *ledger.Ledger) (ledger.Counters, error) {
	if _, err := traffic.ReadMailboxes(books, p.mail()); err != nil {
		return ledger.Counters{}, err
	}
	if err := books.ReadQueue(p.instance.Spool); err != nil {
		return ledger.Counters{}, err
	}
	return books.Count(false, p.o.Slack), nil
}
