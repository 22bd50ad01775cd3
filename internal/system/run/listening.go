package run

import (
	"context"
	"errors"
	"net"

	"posthaste/internal/ipc"
	"posthaste/internal/system/host"
)

// server is a service that accepts connections.
type server interface {
	Serve(ctx context.Context, l net.Listener) error
	Drain(ctx context.Context) error
}

// finisher is a server whose work after a reload may go on as it began.
type finisher interface {
	server
	Finish(ctx context.Context)
}

// lasting is listening for a finisher.
func lasting(s host.Service, srv finisher) host.Part {
	part := listening(s, srv)
	part.Finish = srv.Finish
	return part
}

// listening makes a part of a server and the sockets of its row.
func listening(s host.Service, srv server) host.Part {
	return host.Part{
		Name: s.Name,
		Serve: func(ctx context.Context) error {
			return serveAll(ctx, s.Listeners, func(l net.Listener) error { return srv.Serve(ctx, l) })
		},
		Drain: srv.Drain,
	}
}

// serveAll serves several listeners until ctx ends or one of them fails.
func serveAll(ctx context.Context, listeners []net.Listener, serve func(net.Listener) error) error {
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- serve(l) }()
	}
	for range listeners {
		if err := <-ended; err != nil {
			return err
		}
	}
	<-ctx.Done() // a service without sockets does not end the process
	return nil
}

// accept calls each for every connection of l, until ctx ends.
func (p *process) accept(ctx context.Context, l net.Listener, each func(net.Conn)) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := ipc.Accept(ctx, l, func(err error) { p.log.Warning("accept on %s: %s", l.Addr(), err) })
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go each(c)
	}
}
