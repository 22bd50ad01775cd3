// Package host is the skeleton of a child process: it takes what master hands
// over, opens what needs root, drops privileges, serves all its services, and
// leaves in good order. What the services are is its caller's business.
//
// It may touch the descriptors it inherits and its own process; it listens
// nowhere by itself and starts no goroutine before privileges are dropped.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"posthaste/internal/config"
	"posthaste/internal/maillog"
	"posthaste/internal/system/spec"
)

// Service is a master.cf row with its sockets, ready to be served.
type Service struct {
	config.Service
	Listeners []net.Listener  // stream sockets
	Datagrams []*net.UnixConn // unix-dgram sockets
	Fifos     []*os.File      // fifo sockets, open for reading
}

// Env is what a child has got from master.
type Env struct {
	Spec     *spec.Spec
	Set      *config.Set
	Services []Service
	Notify   *net.UnixConn // spec.Notify; the queue process only
	Log      *maillog.Logger
}

// Part is something a process runs: one service or several. Serve takes new
// work until its context ends and returns nil then; work in hand may go on.
// Finish, after a reload only, waits for that work to end by itself, and no
// longer than its context. Drain then, and at once after a stop, asks the work
// to end, waits for it, and cuts it off when its context ends.
type Part struct {
	Name   string
	Serve  func(ctx context.Context) error
	Finish func(ctx context.Context)       // nil: a reload is like a stop
	Drain  func(ctx context.Context) error // nil: nothing to wait for
	// Close is called when all parts are drained; nil: nothing to close.
	Close func() error
}

// Builder makes the parts of a process. Build runs as the user that started
// the process, often root, and opens what needs that; what it returns is
// called after Drop.
type Builder struct {
	Build func(env *Env) ([]Part, error)
	// Drop gives up privileges for good; nil: the process keeps them.
	Drop func(env *Env) error
}

// Limits are how long work in hand may take when the process is to leave.
type Limits struct {
	Stop time.Duration // master said stop, or is gone
	// Reload is how long parts may Finish when another generation has taken over.
	// After that they have the time of a stop.
	Reload time.Duration
}

// DefaultLimits suit all roles.
var DefaultLimits = Limits{Stop: 10 * time.Second, Reload: 30 * time.Minute}

// Run is the life of a child process. It returns when the process should end:
// nil after a stop or reload that it was asked for.
func Run(b Builder, limits Limits) error {
	env, lifeline, ready, err := inherit()
	if err != nil {
		return err
	}
	defer env.Log.Flush()
	share(env.Spec.Role)
	parts, err := b.Build(env)
	if err != nil {
		env.Log.Fatal("%s", err)
		return err
	}
	if b.Drop != nil {
		if err := b.Drop(env); err != nil {
			env.Log.Fatal("%s: cannot give up privileges: %s", env.Spec.Role, err)
			return err
		}
	}
	return live(env, parts, lifeline, ready, limits)
}

// share leaves processors to the other processes: those that wait for inbound's
// work mostly would otherwise wake idle threads that find nothing to do. It
// gave a tenth more messages a second on two processors.
func share(role spec.Role) {
	if role != spec.Inbound {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
}

// Hurry is the signal by which master tells a process that has been replaced to
// wait no longer for its work to end by itself.
const Hurry = syscall.SIGUSR1

// order tells a process to leave.
type order struct {
	finish time.Duration // how long parts may Finish; 0: they Drain at once
	limit  time.Duration // how long all of it may take
}

// orderOf is what a signal of master means.
func (l Limits) orderOf(s os.Signal) order {
	switch s {
	case syscall.SIGHUP:
		return order{l.Reload, l.Reload + l.Stop}
	case Hurry:
		return order{0, l.Reload}
	}
	return order{0, l.Stop}
}

// orders waits for a reason to leave and passes on each.
func orders(lifeline io.Reader, limits Limits) <-chan order {
	out := make(chan order, 4)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, Hurry)
	go func() {
		for s := range signals {
			out <- limits.orderOf(s)
		}
	}()
	go func() {
		io.Copy(io.Discard, lifeline) // returns when master is gone
		out <- limits.orderOf(syscall.SIGTERM)
	}()
	return out
}

// live serves parts until master says otherwise.
func live(env *Env, parts []Part, lifeline io.Reader, ready *os.File, limits Limits) error {
	return liveUntil(env, parts, orders(lifeline, limits), ready)
}

func liveUntil(env *Env, parts []Part, come <-chan order, ready *os.File) error {
	serving, stop := context.WithCancel(context.Background())
	defer stop()
	failed := make(chan error, len(parts))
	for _, p := range parts {
		go func() {
			if err := p.Serve(serving); err != nil {
				failed <- fmt.Errorf("%s: %w", p.Name, err)
			} else if serving.Err() == nil {
				failed <- fmt.Errorf("%s: ended by itself", p.Name)
			}
		}()
	}
	ready.Write([]byte{1})
	ready.Close()
	var first order
	select {
	case err := <-failed:
		// The truth is on disk and master restarts this process; a part that
		// does not work must not hide behind others that do.
		env.Log.Fatal("%s", err)
		return err
	case first = <-come:
	}
	stop()
	return drain(env, parts, first, come)
}

// drain lets work in hand end. A later order may shorten the time for it, and
// never lengthens it.
func drain(env *Env, parts []Part, first order, come <-chan order) error {
	finishing, hurry := context.WithCancel(context.Background())
	defer hurry()
	ctx, cut := context.WithCancel(context.Background())
	defer cut()
	patience, end := newAlarm(first.finish, hurry), newAlarm(first.limit, cut)
	over := make(chan struct{})
	go func() {
		defer close(over)
		leaveAll(finishing, ctx, env, parts)
		closeAll(env, parts)
	}()
	for {
		select {
		case <-over:
			return nil
		case o := <-come:
			patience.sooner(o.finish)
			end.sooner(o.limit)
		}
	}
}

// alarm is a call at a time that can only be brought forward.
type alarm struct {
	at    time.Time
	timer *time.Timer // nil: it has called
}

// newAlarm makes an alarm. One that is due has called when newAlarm returns.
func newAlarm(d time.Duration, call func()) *alarm {
	if d <= 0 {
		call()
		return &alarm{}
	}
	return &alarm{time.Now().Add(d), time.AfterFunc(d, call)}
}

// sooner brings the alarm forward.
func (a *alarm) sooner(d time.Duration) {
	if at := time.Now().Add(d); a.timer != nil && at.Before(a.at) {
		a.at = at
		a.timer.Reset(d)
	}
}

// leaveAll lets all parts leave at a time, each in its own pace.
func leaveAll(finishing, ctx context.Context, env *Env, parts []Part) {
	var wg sync.WaitGroup
	for _, p := range parts {
		wg.Go(func() {
			if p.Finish != nil && finishing.Err() == nil {
				p.Finish(finishing)
			}
			if p.Drain == nil {
				return
			}
			if err := p.Drain(ctx); err != nil && !errors.Is(err, context.Canceled) {
				env.Log.Warning("%s: %s", p.Name, err)
			}
		})
	}
	wg.Wait()
}

// closeAll closes what parts that are all at rest still hold.
func closeAll(env *Env, parts []Part) {
	for _, p := range parts {
		if p.Close == nil {
			continue
		}
		if err := p.Close(); err != nil {
			env.Log.Warning("%s: %s", p.Name, err)
		}
	}
}
