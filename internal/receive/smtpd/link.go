package smtpd

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// link is the connection of a session with its time limit. Before it waits for
// the client it sends what is to be sent, so a batch of pipelined commands is
// answered with one write.
type link struct {
	conn    net.Conn
	timeout time.Duration
	out     []byte
	err     error // of the last write; reading fails with it

	// perRequest makes the time limit count from the start of a request; each
	// byte of content then extends it by 1/rate seconds.
	perRequest bool
	rate       int
	deadline   time.Time

	mu     sync.Mutex
	inMail bool // guarded by mu: a transaction is open, Drain must not wake
	drain  bool // guarded by mu
}

// errDrain says that the server is about to stop.
var errDrain = errors.New("server is stopping")

// Read waits for the client.
func (l *link) Read(b []byte) (int, error) {
	if err := l.flush(); err != nil {
		return 0, err
	}
	l.renew()
	if l.mustStop() {
		return 0, errDrain
	}
	n, err := l.conn.Read(b)
	if n > 0 && l.perRequest && l.rate > 0 {
		l.extend(time.Duration(n) * time.Second / time.Duration(l.rate))
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && l.mustStop() {
		err = errDrain
	}
	return n, err
}

// startRequest begins a new period when the time limit counts per request.
func (l *link) startRequest() {
	if l.perRequest {
		l.setDeadline(time.Now().Add(l.timeout))
	}
}

// renew sets the deadline anew only when less than half is left: setting it is
// dearer than asking the clock.
func (l *link) renew() {
	if l.perRequest && !l.deadline.IsZero() {
		return
	}
	if now := time.Now(); l.deadline.Sub(now) < l.timeout/2 {
		l.setDeadline(now.Add(l.timeout))
	}
}

func (l *link) extend(d time.Duration) {
	if d > 0 {
		limit := time.Now().Add(l.timeout)
		if t := l.deadline.Add(d); t.Before(limit) {
			l.setDeadline(t)
		}
	}
}

func (l *link) setDeadline(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = t
	if !l.drain || l.inMail {
		l.conn.SetDeadline(t)
	}
}

// flush sends pending replies.
func (l *link) flush() error {
	if l.err != nil || len(l.out) == 0 {
		return l.err
	}
	l.renew()
	_, l.err = l.conn.Write(l.out)
	l.out = l.out[:0]
	return l.err
}

// wake ends a wait for the next command, unless a transaction is open.
func (l *link) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drain = true
	if !l.inMail {
		l.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (l *link) setInMail(in bool) {
	l.mu.Lock()
	l.inMail = in
	if in && l.drain { // wake came between the client's MAIL and here
		l.conn.SetDeadline(l.deadline)
	}
	l.mu.Unlock()
}

func (l *link) mustStop() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drain && !l.inMail
}

// hasPending tells whether the client has sent bytes that were not read yet,
// without waiting. It is false for connections that cannot tell.
func (l *link) hasPending() bool {
	sc, ok := l.conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	pending := false
	var one [1]byte
	raw.Control(func(fd uintptr) {
		n, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		pending = err == nil && n > 0
	})
	return pending
}
