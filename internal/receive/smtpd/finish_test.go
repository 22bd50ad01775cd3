package smtpd

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// lateListener hands out connections also after its end, like one whose last
// connection was accepted as it was closed.
type lateListener struct {
	conns chan net.Conn
	asked chan struct{} // gets one when a connection is waited for
}

func newLateListener() lateListener {
	return lateListener{make(chan net.Conn), make(chan struct{}, 100)}
}

func (l lateListener) Accept() (net.Conn, error) {
	l.asked <- struct{}{}
	if c := <-l.conns; c != nil {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l lateListener) Close() error   { return nil }
func (l lateListener) Addr() net.Addr { return &net.TCPAddr{} }

// client is the other end of a connection.
type client struct {
	t  *testing.T
	c  net.Conn
	in *bufio.Reader
}

func (c client) expect(say, want string) {
	c.t.Helper()
	if say != "" {
		io.WriteString(c.c, say+"\r\n")
	}
	if line, err := c.in.ReadString('\n'); !strings.HasPrefix(line, want) {
		c.t.Fatalf("%q: %q, %v, want %s", say, line, err, want)
	}
}

// connect hands one end of a connection to a listener, and greets at the other.
func connect(t *testing.T, l lateListener) client {
	t.Helper()
	ours, theirs := net.Pipe()
	l.conns <- theirs
	ours.SetDeadline(time.Now().Add(time.Minute))
	return client{t, ours, bufio.NewReader(ours)}
}

// An old generation accepts nothing more; its sessions go on until they end, also
// one that came at the last moment.
func TestFinish(t *testing.T) {
	r := newRig(t, "", nil)
	srv, err := r.build("", nil)
	if err != nil {
		t.Fatal(err)
	}
	l := newLateListener()
	ctx, reload := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, l) }()
	<-l.asked
	first := connect(t, l)
	first.expect("", "220")
	first.expect("HELO c.test", "250")
	<-l.asked // it waits for another one already
	reload()
	finished := make(chan bool)
	go func() {
		srv.Finish(context.Background())
		close(finished)
	}()
	late := connect(t, l)
	late.expect("", "220")
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	for _, c := range []client{first, late} {
		c.expect("HELO c.test", "250")
		c.expect("MAIL FROM:<a@b.test>", "250")
		c.expect("RCPT TO:<alice@example.test>", "250")
		c.expect("DATA", "354")
		c.expect("hi\r\n.", "250 2.0.0 Ok: queued as ")
		c.expect("NOOP", "250")
	}
	first.expect("QUIT", "221")
	select {
	case <-finished:
		t.Error("it has finished, with a session open")
	default:
	}
	late.expect("NOOP", "250")
	late.expect("QUIT", "221")
	<-finished
	if err := srv.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// Whoever is in a hurry ends Finish, and then Drain the sessions.
func TestHurry(t *testing.T) {
	r := newRig(t, "", nil)
	srv, err := r.build("", nil)
	if err != nil {
		t.Fatal(err)
	}
	l := newLateListener()
	ctx, reload := context.WithCancel(t.Context())
	go srv.Serve(ctx, l)
	c := connect(t, l)
	c.expect("", "220")
	reload()
	close(l.conns)
	finishing, hurry := context.WithCancel(t.Context())
	drained := make(chan error)
	go func() {
		srv.Finish(finishing)
		if finishing.Err() == nil {
			drained <- errors.New("it has finished, with a session open")
			return
		}
		drained <- srv.Drain(t.Context())
	}()
	c.expect("NOOP", "250")
	hurry()
	c.expect("", "421 4.3.2 mx.example.test Error: service is shutting down")
	if err := <-drained; err != nil {
		t.Error(err)
	}
}
