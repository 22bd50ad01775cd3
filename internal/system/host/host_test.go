package host

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"posthaste/internal/maillog"
	"posthaste/internal/system/spec"
)

// testLimits are those of the processes here.
var testLimits = Limits{Stop: 3 * time.Second, Reload: time.Minute}

// process runs parts as a child does. The returned functions close the
// lifeline, and wait for the end.
func process(t *testing.T, log *maillog.Memory, parts ...Part) (masterGone func(), end func() error) {
	r, w := io.Pipe()
	come := make(chan order, 4)
	go func() {
		io.Copy(io.Discard, r)
		come <- testLimits.orderOf(syscall.SIGTERM)
	}()
	return func() { w.Close() }, ordered(t, log, come, parts...)
}

// ordered runs parts as a child does that gets these orders, and returns a
// function that waits for its end.
func ordered(t *testing.T, log *maillog.Memory, come <-chan order, parts ...Part) (end func() error) {
	ready, err := os.CreateTemp(t.TempDir(), "") // live closes it
	if err != nil {
		t.Fatal(err)
	}
	env := &Env{Spec: &spec.Spec{Role: spec.Queue}, Log: maillog.New(log, "postfix/queue")}
	ended := make(chan error, 1)
	go func() { ended <- liveUntil(env, parts, come, ready) }()
	return func() error { return <-ended }
}

// serve takes work until its context ends.
func serve(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func TestDrain(t *testing.T) {
	for name, c := range map[string]struct {
		work time.Duration // what is in hand when master goes
		want time.Duration // until the process ends
	}{
		"nothing in hand": {0, 0},
		"short work ends": {time.Second, time.Second},
		"long is cut off": {time.Hour, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				part := Part{Name: "work", Serve: serve, Drain: func(ctx context.Context) error {
					select {
					case <-time.After(c.work):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}}
				gone, end := process(t, new(maillog.Memory), part, Part{Name: "idle", Serve: serve})
				synctest.Wait()
				begin := time.Now()
				gone()
				if err := end(); err != nil || time.Since(begin) != c.want {
					t.Errorf("%v after %s, want %s", err, time.Since(begin), c.want)
				}
			})
		})
	}
}

// sessions is a part with one session that ends by itself after some time. When
// it is asked to leave, it still has a message to finish.
func sessions(session, message time.Duration) Part {
	over := make(chan struct{})
	wait := func(ctx context.Context, d time.Duration) error {
		select {
		case <-over:
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
		return nil
	}
	return Part{
		Name: "sessions",
		Serve: func(ctx context.Context) error {
			time.AfterFunc(session, func() { close(over) })
			return serve(ctx)
		},
		Finish: func(ctx context.Context) { wait(ctx, 24*time.Hour) },
		Drain:  func(ctx context.Context) error { return wait(ctx, message) },
	}
}

// After a reload sessions go on, until they end or somebody is in a hurry.
func TestOldSessions(t *testing.T) {
	type after struct {
		time   time.Duration
		signal syscall.Signal
	}
	const reload, stop = syscall.SIGHUP, syscall.SIGTERM
	for name, c := range map[string]struct {
		session, message time.Duration
		orders           []after
		want             time.Duration // until the process ends
	}{
		"it ends by itself":           {30 * time.Second, 0, []after{{0, reload}}, 30 * time.Second},
		"not for ever":                {time.Hour, 2 * time.Second, []after{{0, reload}}, 62 * time.Second},
		"and then it is cut off":      {time.Hour, time.Hour, []after{{0, reload}}, 63 * time.Second},
		"a second reload":             {30 * time.Second, 0, []after{{0, reload}, {10 * time.Second, reload}}, 30 * time.Second},
		"in a hurry":                  {time.Hour, 0, []after{{0, reload}, {10 * time.Second, Hurry}}, 10 * time.Second},
		"in a hurry, with a message":  {time.Hour, 20 * time.Second, []after{{0, reload}, {10 * time.Second, Hurry}}, 30 * time.Second},
		"a hurry does not lengthen":   {time.Hour, time.Hour, []after{{0, reload}, {10 * time.Second, Hurry}}, 63 * time.Second},
		"stop after a reload":         {time.Hour, time.Second, []after{{0, reload}, {10 * time.Second, stop}}, 11 * time.Second},
		"stop cuts off":               {time.Hour, time.Hour, []after{{0, reload}, {10 * time.Second, stop}}, 13 * time.Second},
		"stop at once":                {time.Hour, time.Second, []after{{0, stop}}, time.Second},
		"a reload does not slow down": {time.Hour, time.Hour, []after{{0, stop}, {time.Second, reload}}, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				come := make(chan order, 4)
				log := new(maillog.Memory)
				end := ordered(t, log, come, sessions(c.session, c.message), Part{Name: "idle", Serve: serve})
				synctest.Wait()
				begin := time.Now()
				for _, o := range c.orders {
					time.AfterFunc(o.time, func() { come <- testLimits.orderOf(o.signal) })
				}
				if err := end(); err != nil || time.Since(begin) != c.want || len(log.Lines()) > 0 {
					t.Errorf("%v after %s, want %s; log %s", err, time.Since(begin), c.want, log)
				}
			})
		})
	}
}

// A part without Finish is told to leave at once, and the process stays for the
// others.
func TestReloadWithoutFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		come := make(chan order, 4)
		begin := time.Now()
		var drained time.Duration
		end := ordered(t, new(maillog.Memory), come, sessions(30*time.Second, 0), Part{Name: "agent", Serve: serve,
			Drain: func(context.Context) error { drained = time.Since(begin); return nil }})
		come <- testLimits.orderOf(syscall.SIGHUP)
		if err := end(); err != nil || drained != 0 || time.Since(begin) != 30*time.Second {
			t.Errorf("%v after %s; drained after %s", err, time.Since(begin), drained)
		}
	})
}

// A part that fails, or stops by itself, ends the process: master starts a new one.
func TestFailedPart(t *testing.T) {
	for want, serveBadly := range map[string]func(context.Context) error{
		"fatal: bad: disk on fire":    func(context.Context) error { return errors.New("disk on fire") },
		"fatal: bad: ended by itself": func(context.Context) error { return nil },
	} {
		log := new(maillog.Memory)
		_, end := process(t, log, Part{Name: "good", Serve: serve}, Part{Name: "bad", Serve: serveBadly})
		if err := end(); err == nil || !log.Contains(want) {
			t.Errorf("%v, log %s, want %s", err, log, want)
		}
	}
}
