package ipc

import (
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// MaxDatagram is the most bytes of a datagram that are read.
const MaxDatagram = 4096

// Hint sends small datagrams to a socket that may be absent, full or replaced:
// what cannot be sent at once is dropped, because whoever listens finds the
// work by itself, only later. It is safe for concurrent use.
type Hint struct {
	path string
	mu   sync.Mutex
	conn *net.UnixConn // nil: not connected
}

// NewHint makes a Hint for the datagram socket at path. It connects when first
// used.
func NewHint(path string) *Hint { return &Hint{path: path} }

// Send sends one datagram and tells whether it went out. It never blocks.
func (h *Hint) Send(payload []byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range 2 {
		if h.conn == nil {
			c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: h.path, Net: "unixgram"})
			if err != nil {
				return false
			}
			h.conn = c
		}
		switch err := sendNow(h.conn, payload); err {
		case nil:
			return true
		case unix.EAGAIN:
			return false
		}
		// The listener was replaced: connect to its successor.
		h.conn.Close()
		h.conn = nil
	}
	return false
}

// sendNow sends without waiting for room.
func sendNow(c *net.UnixConn, payload []byte) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Write(func(fd uintptr) bool {
		err = unix.Sendto(int(fd), payload, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
		return true
	})
	if failed != nil {
		return failed
	}
	return err
}

// Close ends the connection; a later Send connects again.
func (h *Hint) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn == nil {
		return nil
	}
	err := h.conn.Close()
	h.conn = nil
	return err
}

// ListenDatagram makes a datagram socket at path; one that was left there is
// replaced.
func ListenDatagram(path string) (*net.UnixConn, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
}
