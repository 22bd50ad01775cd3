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
	"posthaste/test/inject"
	"posthaste/test/ledger"
	"posthaste/test/traffic"
)

// crash is a moment at which the power is cut: some time between two others.
type crash struct {
	n        int
	again    int // how often the power was cut during recovery
	from, to time.Time
}

// paths are directories of an instance that lie on disks under test.
type paths struct{ spool, mail string }

// store is the disks under test.
type store interface {
	begin() error     // mounts them for the system that works
	settle() error    // makes all that is on them durable
	moment() error    // the power could be cut now
	end() error       // unmounts them
	crashes() []crash // after end
	// show mounts them as a cut left them, and may say how that was.
	show(crash) (string, error)
	hide(crash) error // unmounts them again
	// expose mounts them so that the power can be cut once more, interrupt
	// notes that it was, and conceal unmounts them.
	expose(crash) error
	interrupt(crash) (crash, error)
	conceal(crash) error
	remove() error
}

// round is one life of a system under load, and the recovery after each cut.
type round struct {
	o        options
	v        variant
	random   *rand.Rand
	books    *ledger.Ledger
	sink     *traffic.Sink
	instance *harness.Instance
	store    store
	reloads  int
	kills    int
}

// playRound plays a round with a number of cuts and adds what it finds.
func playRound(o options, v variant, cuts int, seed uint64, r *result) (err error) {
	books := ledger.New(fmt.Sprintf("%s.%x", r.System, seed))
	sink, err := traffic.NewSink(books.Delivered, seed)
	if err != nil {
		return err
	}
	defer sink.Close()
	i, err := harness.New(harness.Config{System: r.System, Main: traffic.Main + v.main, Values: sink.Values()})
	if err != nil {
		return err
	}
	p := &round{o: o, v: v, random: rand.New(rand.NewPCG(seed, 0)), books: books, sink: sink, instance: i}
	defer func() {
		if err != nil && !errors.Is(err, traffic.ErrQuit) {
			err = fmt.Errorf("%s, seed %d: %w\nthe end of the log:\n%s", v.name, seed, err, tail(i.LogText()))
		}
		err = errors.Join(err, p.remove())
	}()
	dir, err := os.MkdirTemp(o.Dir, "powercut-")
	if err != nil {
		return err
	}
	to := paths{spool: i.Spool, mail: filepath.Join(i.Dir, "mail")}
	newStore, moments := newSnapshots, cuts
	if v.tier == reordered && !v.control() {
		moments = (cuts + perMoment - 1) / perMoment
	}
	if v.tier == reordered {
		newStore = newBlocks
	}
	if p.store, err = newStore(dir, v, to, p.random); err != nil {
		return err
	}
	if err := p.live(moments); err != nil {
		return err
	}
	r.Reloads += p.reloads
	r.Kills += p.kills
	for _, c := range p.store.crashes() {
		found, err := p.recover(c)
		if err != nil {
			return fmt.Errorf("cut %d: %w", c.n, err)
		}
		r.add(found, seed, c)
		o.Progress(r.Cuts)
		if err := o.Quit.Wait(0); err != nil {
			return err
		}
		if o.over() {
			r.ended = true
			break
		}
	}
	return nil
}

// tail is the last lines of a text.
func tail(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// remove stops and unmounts what is left after an error.
func (p *round) remove() error {
	err := p.instance.Halt()
	if p.store != nil {
		p.store.end() // it may be unmounted
		err = errors.Join(err, p.store.remove())
	}
	if p.o.Keep {
		fmt.Fprintln(os.Stderr, "the directory is left:", p.instance.Dir)
		return err
	}
	return errors.Join(err, os.RemoveAll(p.instance.Dir))
}

// live lets the system work until its power would have been cut often enough.
func (p *round) live(moments int) error {
	if err := p.store.begin(); err != nil {
		return err
	}
	if err := p.instance.Start(); err != nil {
		return err
	}
	if err := p.store.settle(); err != nil {
		return err
	}
	if p.v.lax {
		stop, err := p.skipMailboxSyncs()
		if err != nil {
			return err
		}
		defer stop()
	}
	for range moments {
		if err := p.work(); err != nil {
			return err
		}
	}
	if err := p.instance.Halt(); err != nil {
		return err
	}
	if err := p.store.end(); err != nil {
		return err
	}
	if p.v.mailToo {
		return nil // each cut shows what is in the mailboxes
	}
	if _, err := traffic.ReadMailboxes(p.books, p.mail()); err != nil {
		return err
	}
	return p.emptyMailboxes()
}

// work lets mail flow until the next moment at which the power could be cut.
// Sometimes nothing flows any more for so long that all deliveries are known on
// the disk of the queue, while nothing else brings those of the mailboxes to
// theirs.
func (p *round) work() error {
	p.sink.Set([]traffic.Mode{traffic.Refusing, traffic.Refusing, traffic.Slow, traffic.Normal}[p.random.IntN(4)])
	if p.v.blind {
		p.sink.Set(traffic.Refusing) // so that something is always waiting
	}
	load := p.load(p.books)
	if !p.v.blind { // the sync of a sendmail command would serve all others
		load.Submit = p.submit
	}
	load.Start()
	defer load.Stop()
	if err := p.o.Quit.Wait(time.Duration(50+p.random.IntN(900)) * time.Millisecond); err != nil {
		return err
	}
	if p.v.lax || p.random.IntN(quietOneIn) == 0 {
		load.Stop()
		if err := p.o.Quit.Wait(quiet); err != nil {
			return err
		}
	}
	if !p.v.unrest {
		return p.store.moment()
	}
	settle, err := p.disturb()
	if err != nil {
		return err
	}
	return errors.Join(p.store.moment(), settle())
}

// load is clients who send, booked in some books.
func (p *round) load(books *ledger.Ledger) *traffic.Load {
	return &traffic.Load{Addr: p.instance.Addr(), Ledger: books, Sessions: p.o.Sessions, Seed: p.random.Uint64(), Large: oneLargeIn}
}

// One moment of so many is a quiet one, and so long after the load.
const (
	quietOneIn = 5
	quiet      = 1200 * time.Millisecond
)

// oneLargeIn is how many messages there are for one of up to 2 MB.
const oneLargeIn = 50

func (p *round) mail() string { return filepath.Join(p.instance.Dir, "mail") }

func (p *round) emptyMailboxes() error {
	return errors.Join(os.RemoveAll(p.mail()), os.Mkdir(p.mail(), 0o755), os.Chmod(p.mail(), 0o777))
}

// submit sends a message by the sendmail command.
func (p *round) submit(m ledger.Message) bool {
	return inject.Submit(p.instance, p.books, m)
}
