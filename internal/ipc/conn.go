// Package ipc is how the processes of Posthaste talk: length-prefixed frames
// over unix sockets, with open files and the peer's identity, and small lossy
// datagrams; and how the words of package mail look in a frame. It knows no
// protocol: who says what when is its users' business. It may touch sockets only.
//
// Every size is bounded before memory is taken, because a peer may be a
// process that was taken over.
package ipc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MaxFrame is the most bytes a frame may have.
	MaxFrame = 16 << 20
	// MaxFiles is the most open files that travel with one frame.
	MaxFiles = 8
)

// ErrFrameSize is the error of a frame over MaxFrame.
var ErrFrameSize = fmt.Errorf("frame is larger than %d bytes", MaxFrame)

// Conn carries frames in both directions. Send may be called while another
// goroutine is in Receive, and from several goroutines; Receive from one at a
// time.
type Conn struct {
	conn    *net.UnixConn
	sending sync.Mutex
	out     []byte // frame with its head, kept for the next Send

	in      []byte // received and not returned yet
	files   []*os.File
	control []byte
}

// New makes a Conn on a connected stream socket and owns it.
func New(c *net.UnixConn) *Conn { return &Conn{conn: c} }

// dialTimeout bounds waiting for room in the backlog of a listener.
const dialTimeout = 10 * time.Second

// Dial connects to the stream socket at path.
func Dial(path string) (*Conn, error) {
	c, err := (&net.Dialer{Timeout: dialTimeout}).Dial("unix", path)
	if err != nil {
		return nil, err
	}
	return New(c.(*net.UnixConn)), nil
}

// keepFrame is the largest send buffer that is kept between frames.
const keepFrame = 64 << 10

// Send writes one frame, with open files that the peer gets as its own. The
// files stay open here; the caller closes them when Send has returned.
func (c *Conn) Send(frame []byte, files ...*os.File) error {
	fds := make([]int, 0, MaxFiles)
	for _, f := range files {
		// Fd would make the file blocking; the raw connection does not.
		raw, err := f.SyscallConn()
		if err != nil {
			return err
		}
		if err := raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) }); err != nil {
			return err
		}
	}
	return c.SendDescriptors(frame, fds...)
}

// SendDescriptors is Send for files that are known by their descriptors.
func (c *Conn) SendDescriptors(frame []byte, fds ...int) error {
	if len(frame) > MaxFrame {
		return ErrFrameSize
	}
	if len(fds) > MaxFiles {
		return fmt.Errorf("more than %d files in a frame", MaxFiles)
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	c.out = binary.BigEndian.AppendUint32(c.out[:0], uint32(len(frame)))
	c.out = append(c.out, frame...)
	rest := c.out
	if cap(c.out) > keepFrame {
		c.out = nil
	}
	if rights != nil {
		// The files ride on the first byte; the kernel may take only part of
		// the data, and the rest then goes without them.
		n, _, err := c.conn.WriteMsgUnix(rest, rights, nil)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	if len(rest) == 0 {
		return nil
	}
	_, err := c.conn.Write(rest)
	return err
}

// headSize is the length of a frame, in front of it.
const headSize = 4

// Receive reads one frame and the files that came with it, which the caller
// closes. A sender of files waits for an answer before its next frame, so that
// what came together belongs together. io.EOF means that the peer closed between two
// frames; any other error that the connection is of no more use.
func (c *Conn) Receive() (frame []byte, files []*os.File, err error) {
	if err := c.fill(headSize); err != nil {
		return nil, nil, c.lost(err, len(c.in) == 0)
	}
	size := binary.BigEndian.Uint32(c.in)
	if size > MaxFrame {
		return nil, nil, c.lost(ErrFrameSize, false)
	}
	if err := c.fill(headSize + int(size)); err != nil {
		return nil, nil, c.lost(err, false)
	}
	frame = append([]byte(nil), c.in[headSize:headSize+size]...)
	c.in = c.in[:copy(c.in, c.in[headSize+size:])]
	if cap(c.in) > keepFrame {
		c.in = append([]byte(nil), c.in...)
	}
	files, c.files = c.files, nil
	return frame, files, nil
}

// lost gives up what was received and returns the error for it.
func (c *Conn) lost(err error, between bool) error {
	CloseAll(c.files)
	c.files = nil
	if !errors.Is(err, io.EOF) {
		return err
	}
	if between {
		return io.EOF
	}
	return io.ErrUnexpectedEOF
}

const (
	// readSize is how much is read at a time: most frames come with one read.
	readSize = 4 << 10
	// firstRead is how much memory a frame's announced length alone can claim.
	firstRead = 256 << 10
)

// fill reads until n bytes are there. Memory grows with what really comes.
func (c *Conn) fill(n int) error {
	for len(c.in) < n {
		if room := min(max(readSize, n-len(c.in)), max(firstRead, 3*len(c.in))); cap(c.in)-len(c.in) < room {
			grown := make([]byte, len(c.in), len(c.in)+room)
			copy(grown, c.in)
			c.in = grown
		}
		if err := c.read(); err != nil {
			return err
		}
	}
	return nil
}

// read adds what is there to in and to files.
func (c *Conn) read() error {
	if c.control == nil {
		c.control = make([]byte, unix.CmsgSpace(MaxFiles*4))
	}
	n, cn, flags, _, err := c.conn.ReadMsgUnix(c.in[len(c.in):cap(c.in)], c.control)
	if err != nil {
		return err
	}
	c.in = c.in[:len(c.in)+n]
	files, err := parseRights(c.control[:cn])
	c.files = append(c.files, files...)
	switch {
	case err != nil:
		return err
	case flags&unix.MSG_CTRUNC != 0 || len(c.files) > MaxFiles:
		return fmt.Errorf("more than %d files in a frame", MaxFiles)
	case n == 0:
		return io.EOF
	}
	return nil
}

// parseRights turns a control message into files.
func parseRights(control []byte) ([]*os.File, error) {
	if len(control) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // credentials or something else nobody asked for
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return files, nil
}

// CloseAll closes files.
func CloseAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// Credentials tell who connected, as of the moment of connecting.
type Credentials struct {
	PID      int32
	UID, GID uint32
}

// Peer returns the identity of the process at the other end.
func (c *Conn) Peer() (Credentials, error) { return PeerOf(c.conn) }

// PeerOf returns the identity of the process at the other end of a unix socket.
func PeerOf(c *net.UnixConn) (Credentials, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Credentials{}, err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return Credentials{}, err
	}
	return Credentials{PID: cred.Pid, UID: cred.Uid, GID: cred.Gid}, nil
}

// SetDeadline bounds sending and receiving; the zero time: no bound.
func (c *Conn) SetDeadline(t time.Time) error { return c.conn.SetDeadline(t) }

// SetReadDeadline bounds receiving.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.conn.SetReadDeadline(t) }

// SetWriteDeadline bounds sending.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) }

// Close ends the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Pair makes two connected ends, for tests and for a child process.
func Pair() (a, b *Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ends := make([]*Conn, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socketpair")
		c, err := net.FileConn(f) // a copy of the descriptor
		f.Close()
		if err != nil {
			return nil, nil, err
		}
		ends[i] = New(c.(*net.UnixConn))
	}
	return ends[0], ends[1], nil
}
