package ipc

import (
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// MaxDatagram is the most bytes of a datagram that are read.
const MaxDatagram = 4096

// Hint sends small datagrams to a socket that may be absent, full or replaced:
// what cannot be sent at once is dropped. When a full socket was the reason, an
// empty datagram follows as soon as there is room: it tells the listener to look
// for what it missed. It is safe for concurrent use.
type Hint struct {
	path string
	mu   sync.Mutex
	conn *net.UnixConn // nil: not connected
	late bool          // a datagram was dropped and the listener is not yet told
}

// remindInterval is how often a full socket is tried again.
const remindInterval = 10 * time.Millisecond

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
			if !h.late {
				h.late = true
				go h.remind()
			}
			return false
		}
		// The listener was replaced: connect to its successor.
		h.conn.Close()
		h.conn = nil
	}
	return false
}

// remind sends the empty datagram that stands for all that was dropped.
func (h *Hint) remind() {
	for {
		time.Sleep(remindInterval)
		h.mu.Lock()
		sent := h.conn == nil || sendNow(h.conn, nil) != unix.EAGAIN
		if sent {
			h.late = false
		}
		h.mu.Unlock()
		if sent {
			return
		}
	}
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
