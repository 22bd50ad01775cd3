package ipc

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// poor is a listener that fails with errors, one after the other, and then has
// connections.
type poor struct {
	net.Listener
	errors []error
	asked  []time.Time
}

func (p *poor) Accept() (net.Conn, error) {
	p.asked = append(p.asked, time.Now())
	if len(p.errors) == 0 {
		a, _ := net.Pipe()
		return a, nil
	}
	err := p.errors[0]
	p.errors = p.errors[1:]
	return nil, &net.OpError{Op: "accept", Err: err}
}

// What may pass is told and waited for, not asked in a busy loop; the rest ends it.
func TestAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &poor{errors: []error{os.NewSyscallError("accept4", syscall.EMFILE), os.NewSyscallError("accept4", syscall.ENFILE)}}
		told := 0
		conn, err := Accept(t.Context(), l, func(error) { told++ })
		if err != nil || conn == nil || told != 2 {
			t.Errorf("%v %v, told %d times", conn, err, told)
		}
		if len(l.asked) != 3 || l.asked[2].Sub(l.asked[0]) < 2*acceptPause {
			t.Errorf("asked at %v", l.asked)
		}
		for given, want := range map[error]error{io.ErrUnexpectedEOF: io.ErrUnexpectedEOF, net.ErrClosed: net.ErrClosed} {
			if _, err := Accept(t.Context(), &poor{errors: []error{given}}, func(error) { t.Error("told of ", given) }); !errors.Is(err, want) {
				t.Errorf("%v: %v", given, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		l = &poor{errors: []error{syscall.EMFILE, syscall.EMFILE}}
		if _, err := Accept(ctx, l, func(error) { cancel() }); !errors.Is(err, net.ErrClosed) || len(l.asked) != 1 {
			t.Errorf("after the end: %v, asked %d times", err, len(l.asked))
		}
	})
}
