package user

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// frameSize is the size of the broker's one request: uid and gid, four bytes
// each, big endian.
const frameSize = 8

// The answers of the broker: one byte, with the child's socket for brokerOK.
const (
	brokerOK      = 'K'
	brokerRefused = 'R' // uid 0 or gid 0
	brokerFailed  = 'F' // the process could not be made
)

// Broker makes processes of other users. It is what runs as root.
type Broker struct {
	// Exec starts a child: program, arguments and environment. The program is
	// named by a path that does not depend on the child's rights.
	Exec string   // empty: /proc/self/exe
	Args []string // argv, with the name of the program; required
	Env  []string
	Max  int // children at a time; 0: 200

	living atomic.Int64
}

// Serve answers requests on a SOCK_SEQPACKET socket until the peer closes it.
// A packet that is not a request ends it with an error.
func (b *Broker) Serve(socket *os.File) error {
	defer socket.Close()
	c, err := net.FileConn(socket)
	if err != nil {
		return err
	}
	defer c.Close()
	peer, ok := c.(*net.UnixConn)
	if !ok {
		return errors.New("broker: not a unix socket")
	}
	for {
		var frame [frameSize + 1]byte
		n, err := peer.Read(frame[:])
		switch {
		case errors.Is(err, io.EOF) || err == nil && n == 0:
			return nil
		case err != nil:
			return fmt.Errorf("broker: %w", err)
		case n != frameSize:
			return fmt.Errorf("broker: request of %d bytes", n)
		}
		as := Identity{UID: binary.BigEndian.Uint32(frame[0:]), GID: binary.BigEndian.Uint32(frame[4:])}
		if err := b.answer(peer, as); err != nil {
			return fmt.Errorf("broker: %w", err)
		}
	}
}

func (b *Broker) answer(peer *net.UnixConn, as Identity) error {
	// 2^32-1 is "leave it as it is" to the kernel: it would stay root.
	if as.UID == 0 || as.GID == 0 || as.UID == ^uint32(0) || as.GID == ^uint32(0) {
		_, err := peer.Write([]byte{brokerRefused})
		return err
	}
	socket, err := b.spawn(as)
	if err != nil {
		_, err := peer.Write([]byte{brokerFailed})
		return err
	}
	defer socket.Close()
	_, _, err = peer.WriteMsgUnix([]byte{brokerOK}, unix.UnixRights(int(socket.Fd())), nil)
	return err
}

// spawn makes a child that has the rights of the user from its first
// instruction on: the runtime sets groups, gid and uid, in that order, between
// fork and exec, so there is no Go code that runs half way.
func (b *Broker) spawn(as Identity) (*os.File, error) {
	most := int64(b.Max)
	if most == 0 {
		most = 200
	}
	if b.living.Add(1) > most {
		b.living.Add(-1)
		return nil, errors.New("too many children")
	}
	ours, theirs, err := pair(unix.SOCK_STREAM)
	if err != nil {
		b.living.Add(-1)
		return nil, err
	}
	defer theirs.Close()
	path := b.Exec
	if path == "" {
		path = "/proc/self/exe"
	}
	cmd := &exec.Cmd{
		Path: path, Args: b.Args, Env: b.Env, ExtraFiles: []*os.File{theirs},
		SysProcAttr: &syscall.SysProcAttr{
			Setsid:     true,
			Credential: &syscall.Credential{Uid: as.UID, Gid: as.GID, Groups: []uint32{as.GID}},
		},
	}
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	if err := cmd.Start(); err != nil {
		ours.Close()
		b.living.Add(-1)
		return nil, err
	}
	go func() {
		cmd.Wait()
		b.living.Add(-1)
	}()
	return ours, nil
}
