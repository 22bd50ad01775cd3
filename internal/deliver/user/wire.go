package user

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"posthaste/internal/ipc"
)

// unixConn takes over a socket that is held as a file.
func unixConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("descriptor is not a unix socket")
	}
	return u, nil
}

// newConn makes a frame connection of a stream socket.
func newConn(f *os.File) (*ipc.Conn, error) {
	u, err := unixConn(f)
	if err != nil {
		return nil, err
	}
	return ipc.New(u), nil
}

// pair makes two connected sockets that no child inherits by accident.
func pair(kind int) (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "pair"), os.NewFile(uintptr(fds[1]), "pair"), nil
}

// Sockets makes the two ends of a connection between a pool and a broker.
func Sockets() (pool, broker *os.File, err error) { return pair(unix.SOCK_SEQPACKET) }

// first takes the first of the files that came with a frame and closes the rest.
func first(files []*os.File) *os.File {
	if len(files) == 0 {
		return nil
	}
	ipc.CloseAll(files[1:])
	return files[0]
}

// passedFile takes the one descriptor out of a control message.
func passedFile(control []byte) (*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return first(files), nil
}

func closeFile(f *os.File) {
	if f != nil {
		f.Close()
	}
}
