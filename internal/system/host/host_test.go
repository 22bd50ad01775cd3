package host

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"posthaste/internal/maillog"
	"posthaste/internal/system/spec"
)

// process runs parts as a child does. The returned functions close the
// lifeline, and wait for the end.
func process(t *testing.T, log *maillog.Memory, parts ...Part) (masterGone func(), end func() error) {
	r, w := io.Pipe()
	ready, err := os.CreateTemp(t.TempDir(), "") // live closes it
	if err != nil {
		t.Fatal(err)
	}
	env := &Env{Spec: &spec.Spec{Role: spec.Queue}, Log: maillog.New(log, "postfix/queue")}
	come := make(chan order, 4)
	go func() {
		io.Copy(io.Discard, r)
		come <- order{3 * time.Second}
	}()
	ended := make(chan error, 1)
	go func() { ended <- liveUntil(env, parts, come, ready) }()
	return func() { w.Close() }, func() error { return <-ended }
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
