package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"posthaste/test/harness"
	"posthaste/test/ledger"
	"posthaste/test/traffic"
)

// site is an instance under load.
type site struct {
	o        options
	random   *rand.Rand
	instance *harness.Instance
	ledger   *ledger.Ledger
	sink     *traffic.Sink
	load     *traffic.Load
}

// once sets up a system, breaks it as often as asked, and counts.
func once(system harness.System, o options) (result, error) {
	r := result{System: system, Seed: o.Seed, Recovery: map[kind]recovery{}}
	books := ledger.New(fmt.Sprintf("%s.%x", system, o.Seed))
	sink, err := traffic.NewSink(books.Delivered, o.Seed)
	if err != nil {
		return r, err
	}
	defer sink.Close()
	i, err := harness.New(harness.Config{System: system, Main: traffic.Main, Values: sink.Values()})
	if err != nil {
		return r, err
	}
	s := &site{o: o, random: newRandom(o.Seed), instance: i, ledger: books, sink: sink}
	err = s.run(&r)
	halted := i.Halt()
	if err == nil {
		err = errors.Join(halted, s.evaluate(&r))
	}
	if o.Keep || err != nil && !errors.Is(err, traffic.ErrQuit) || r.Bad() && system == harness.Ours {
		fmt.Fprintf(os.Stderr, "\n%s: the directory is left: %s\n", system, i.Dir)
		return r, err
	}
	return r, errors.Join(err, i.Stop())
}

// run is a system's life from its first start to an empty queue.
func (s *site) run(r *result) error {
	err := s.instance.Start()
	if err != nil {
		return err
	}
	s.load = &traffic.Load{Addr: s.instance.Addr(), Ledger: s.ledger, Sessions: s.o.Sessions, Seed: s.o.Seed}
	s.load.Start()
	defer s.load.Stop()
	if s.o.Cycles == 0 {
		err = s.o.Quit.Wait(s.o.Control)
	} else {
		err = s.cycles(r)
	}
	if err != nil {
		return err
	}
	s.load.Stop()
	s.sink.Set(traffic.Normal)
	show := func(left int) { s.o.Progress(s.o.Cycles, s.o.Cycles, fmt.Sprintf("%d messages left", left)) }
	err = traffic.Drain(s.instance, s.o.Patience, s.o.Quit, show)
	s.o.Progress(s.o.Cycles, s.o.Cycles, "")
	return err
}

// evaluate reads mailboxes, queue and log, and counts.
func (s *site) evaluate(r *result) error {
	var err error
	if r.TmpFiles, err = traffic.ReadMailboxes(s.ledger, filepath.Join(s.instance.Dir, "mail")); err != nil {
		return err
	}
	if err := s.ledger.ReadQueue(s.instance.Spool); err != nil {
		return err
	}
	r.Deferrals = s.ledger.ReadLog(s.instance.LogText())
	r.Counters = s.ledger.Count(true, s.o.Slack)
	return nil
}
