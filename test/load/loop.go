package main

import (
	"fmt"
	"net"
	"runtime"

	"golang.org/x/sys/unix"
)

// loop serves many sockets in one thread, by epoll: the load generator and the
// sink share two processors with the system that is measured, and a goroutine
// for each connection would cost as much as a fast mail server does.
type loop struct {
	epoll   int
	streams map[int32]*stream
	buf     [64 << 10]byte
}

// stream is one connection. read gets what came, nil at the end; false closes
// the connection.
type stream struct {
	fd   int
	out  []byte // could not be sent yet
	read func(s *stream, data []byte) bool

	accept func(s *stream) // of a listening socket
}

func newLoop() (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return &loop{epoll: fd, streams: map[int32]*stream{}}, err
}

// loopback is the address of a port on 127.0.0.1.
func loopback(port int) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
}

// connect begins a connection.
func (l *loop) connect(port int, read func(*stream, []byte) bool) (*stream, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, loopback(port)); err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return nil, fmt.Errorf("connect: %w", err)
	}
	return l.add(fd, read)
}

// listen calls accepted for each connection to a free port, which is returned.
func (l *loop) listen(accepted func(*stream)) (port int, err error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0") // with the backlog of package net
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	f, err := listener.(*net.TCPListener).File()
	if err != nil {
		return 0, err
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return 0, err
	}
	s, err := l.add(fd, nil)
	if err != nil {
		return 0, err
	}
	s.accept = accepted
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func (l *loop) add(fd int, read func(*stream, []byte) bool) (*stream, error) {
	s := &stream{fd: fd, read: read}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	l.streams[int32(fd)] = s
	return s, nil
}

// accept takes all connections that wait.
func (l *loop) accept(listener *stream) {
	for {
		fd, _, err := unix.Accept4(listener.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		if s, err := l.add(fd, nil); err == nil {
			listener.accept(s)
		}
	}
}

// write sends, and keeps what the socket does not take.
func (l *loop) write(s *stream, b []byte) {
	if len(s.out) == 0 {
		n, err := unix.Write(s.fd, b)
		if err == nil && n == len(b) {
			return
		}
		b = b[max(n, 0):]
		unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: int32(s.fd)})
	}
	s.out = append(s.out, b...)
}

func (l *loop) flush(s *stream) {
	n, _ := unix.Write(s.fd, s.out)
	s.out = s.out[:copy(s.out, s.out[max(n, 0):])]
	if len(s.out) == 0 {
		unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(s.fd)})
	}
}

func (l *loop) close(s *stream) {
	delete(l.streams, int32(s.fd))
	unix.Close(s.fd)
}

// run serves until over returns true; it is asked after each round.
func (l *loop) run(over func() bool) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	events := make([]unix.EpollEvent, 128)
	for !over() {
		n, err := unix.EpollWait(l.epoll, events, 100)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			if s := l.streams[e.Fd]; s != nil {
				l.serve(s, e.Events)
			}
		}
	}
	for _, s := range l.streams {
		l.close(s)
	}
	return unix.Close(l.epoll)
}

func (l *loop) serve(s *stream, events uint32) {
	if s.accept != nil {
		l.accept(s)
		return
	}
	if events&unix.EPOLLOUT != 0 {
		l.flush(s)
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	n, err := unix.Read(s.fd, l.buf[:])
	if err == unix.EAGAIN {
		return
	}
	if n <= 0 {
		s.read(s, nil)
		l.close(s)
	} else if !s.read(s, l.buf[:n]) {
		l.close(s)
	}
}
