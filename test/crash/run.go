package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"posthaste/test/harness"
	"posthaste/test/ledger"
)

// mainCF is a relay with some mailboxes of its own. Deferred mail is tried
// again soon; everything else about restarts is as it comes.
const mainCF = harness.RelayMain + `mydestination =
notify_classes = 2bounce
`

// The recipients.
const (
	boxDomain  = "box.example.test"
	sinkDomain = "sink.example.test"
	boxes      = 5
)

func box(n int) string { return fmt.Sprintf("box%d", n) }

// site is an instance under load.
type site struct {
	o        options
	random   *rand.Rand
	instance *harness.Instance
	ledger   *ledger.Ledger
	sink     *sink
	load     *load
}

// once sets up a system, breaks it as often as asked, and counts.
func once(system harness.System, o options) (result, error) {
	r := result{System: system, Seed: o.Seed, Recovery: map[kind]recovery{}}
	books := ledger.New(fmt.Sprintf("%s.%x", system, o.Seed))
	sink, err := newSink(books, o.Seed)
	if err != nil {
		return r, err
	}
	defer sink.Close()
	var maps []string
	for n := range boxes {
		maps = append(maps, fmt.Sprintf("%s@%s=%s/", box(n), boxDomain, box(n)))
	}
	i, err := harness.New(harness.Config{System: system, Main: mainCF,
		Values: map[string]string{"SINK": fmt.Sprint(sink.Port), "BOXES": strings.Join(maps, ", "), "BOXDOMAIN": boxDomain}})
	if err != nil {
		return r, err
	}
	s := &site{o: o, random: newRandom(o.Seed), instance: i, ledger: books, sink: sink}
	err = s.run(&r)
	halted := i.Halt()
	if err == nil {
		err = errors.Join(halted, s.evaluate(&r))
	}
	if o.Keep || err != nil && !errors.Is(err, errQuit) || r.Bad() && system == harness.Ours {
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
	s.load = startLoad(s.instance.Addr(), s.ledger, s.o.Sessions, s.o.Seed)
	defer s.load.stop()
	if s.o.Cycles == 0 {
		err = s.o.wait(s.o.Control)
	} else {
		err = s.cycles(r)
	}
	if err != nil {
		return err
	}
	s.load.stop()
	s.sink.set(normal)
	return s.drain()
}

// drain asks for all deferred mail until nothing is left in the queue, within
// bounds: what stays is counted as stuck.
func (s *site) drain() error {
	var left int
	var err error
	end := time.Now().Add(s.o.Patience)
	for time.Now().Before(end) {
		s.o.Progress(s.o.Cycles, s.o.Cycles, fmt.Sprintf("%d messages left", left))
		if left, err = ledger.Waiting(s.instance.Spool); err != nil || left == 0 {
			return err
		}
		s.instance.Run("postfix", "flush") // what a throttled service does not hear is asked again
		if err := s.o.wait(500 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// evaluate reads mailboxes, queue and log, and counts.
func (s *site) evaluate(r *result) error {
	for n := range boxes {
		left, err := s.ledger.ReadMaildir(filepath.Join(s.instance.Dir, "mail", box(n)), box(n)+"@"+boxDomain)
		if err != nil {
			return err
		}
		r.TmpFiles += left
	}
	if err := s.ledger.ReadQueue(s.instance.Spool); err != nil {
		return err
	}
	r.Deferrals = s.ledger.ReadLog(s.instance.LogText())
	r.Counters = s.ledger.Count(true, s.o.Slack)
	return nil
}
