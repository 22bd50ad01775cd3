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
// and counts.
func (p *round) recover(c crash) (f finding, err error) {
	f.onDisk = p.asOf(c, nil).Count(false, p.o.Slack).Loss
	if f.disk, err = p.store.show(c); err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.store.hide(c)) }()
	after := &arrivals{}
	p.sink.Book(after.add)
	p.sink.Set(traffic.Normal)
	begin, logged := time.Now(), len(p.instance.LogText())
	if f.notBegun = p.instance.Start(); f.notBegun == nil {
		err = p.drain(c, after)
	}
	f.took = time.Since(begin)
	if err := errors.Join(err, p.instance.Halt()); err != nil {
		return f, err
	}
	f.panics = panics(p.instance.LogText()[logged:])
	f.Counters, err = p.count(c, after)
	if p.v.mailToo {
		return f, err
	}
	return f, errors.Join(err, p.emptyMailboxes())
}

// drain waits until the queue is empty and nothing is missing, or nothing more
// has come for a while.
func (p *round) drain(c crash, after *arrivals) error {
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
		now, err := p.count(c, after)
		if err != nil || now.Loss == 0 || time.Now().After(until) || time.Now().After(limit) {
			return err
		}
		if now.Loss != missing {
			until, missing = time.Now().Add(watch), now.Loss
		}
		if err := p.o.Quit.Wait(lookPause); err != nil {
			return err
		}
	}
}

// lookPause is between two looks for what is missing.
const lookPause = 50 * time.Millisecond

// count judges what is known so far after a cut.
func (p *round) count(c crash, after *arrivals) (ledger.Counters, error) {
	books := p.asOf(c, after)
	if _, err := traffic.ReadMailboxes(books, p.mail()); err != nil {
		return ledger.Counters{}, err
	}
	if err := books.ReadQueue(p.instance.Spool); err != nil {
		return ledger.Counters{}, err
	}
	return books.Count(false, p.o.Slack), nil
}

// asOf is the books at a cut, with what the sink got after it.
func (p *round) asOf(c crash, after *arrivals) *ledger.Ledger {
	books := p.books.AsOf(c.from, c.to)
	if after != nil {
		after.mu.Lock()
		defer after.mu.Unlock()
		for _, d := range after.list {
			books.Delivered(d)
		}
	}
	return books
}
