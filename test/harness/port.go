package harness

import (
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// FreePort finds a TCP port that is free on 127.0.0.1.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// DeadPort is a port of the loopback address that refuses connections until the
// closer is closed: it is bound, so that nobody else gets it, and nobody listens.
func DeadPort() (io.Closer, int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "dead port")
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		f.Close()
		return nil, 0, os.NewSyscallError("bind", err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		f.Close()
		return nil, 0, os.NewSyscallError("getsockname", err)
	}
	return f, at.(*unix.SockaddrInet4).Port, nil
}
