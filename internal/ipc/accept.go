package ipc

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"
	"time"
)

// acceptPause is how long Accept leaves a listener alone after a failure that
// may pass: whoever waits there stays in its backlog.
const acceptPause = time.Second

// passing are the errors after which accepting may work again.
var passing = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPROTO}

// Accept waits for a connection of a listener. A failure that may pass, for want
// of descriptors or memory, is told to warn, and accepting goes on a moment
// later. Its error is final; when the listener was closed or ctx has ended it is
// net.ErrClosed.
func Accept(ctx context.Context, l net.Listener, warn func(error)) (net.Conn, error) {
	for {
		conn, err := l.Accept()
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return nil, net.ErrClosed
		}
		var late net.Error
		if !slices.ContainsFunc(passing, func(p error) bool { return errors.Is(err, p) }) && !(errors.As(err, &late) && late.Timeout()) {
			return nil, err
		}
		warn(err)
		select {
		case <-time.After(acceptPause):
		case <-ctx.Done():
			return nil, net.ErrClosed
		}
	}
}
