package user

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/mailbox"
)

// ChildFD is the descriptor number of the socket in a process made by the broker.
const ChildFD = 3

// Child is the life of a process made by the broker: it serves the lanes that
// come over its socket until the other end is closed and the lanes are. It
// refuses to work as root, so a mistake of the broker harms nobody.
func Child(ctx context.Context) error {
	if os.Getuid() == 0 || os.Geteuid() == 0 || os.Getgid() == 0 || os.Getegid() == 0 {
		return errors.New("user-child: will not run with superuser rights")
	}
	syscall.Umask(0o077)
	// No command gets a descriptor of ours, not even one that this process was
	// given by mistake.
	if err := unix.CloseRange(ChildFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return os.NewSyscallError("close_range", err)
	}
	runtime.GOMAXPROCS(syncing)
	control, err := newConn(os.NewFile(ChildFD, "planner"))
	if err != nil {
		return err
	}
	defer control.Close()
	return serveLanes(ctx, control)
}

// syncing is how many threads may wait for the disk before the runtime has to
// notice that they do.
const syncing = 8

// serveLanes serves the sockets that come over control, each on its own.
func serveLanes(ctx context.Context, control *ipc.Conn) error {
	var lanes sync.WaitGroup
	defer lanes.Wait()
	work := Direct{Gather: new(mailbox.Gather)}
	for {
		_, sockets, err := control.Receive()
		for _, s := range sockets {
			lanes.Go(func() {
				if err := Serve(ctx, s, work); err != nil {
					fmt.Fprintln(os.Stderr, "user-child:", err)
				}
			})
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// Serve answers requests that come over a unix stream socket with the rights
// of this process, one at a time. It returns nil when the peer closes. The
// work in hand is then interrupted: a command is killed.
func Serve(ctx context.Context, socket *os.File, work Direct) error {
	c, err := newConn(socket)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()

	type incoming struct {
		frame []byte
		file  *os.File
		err   error
	}
	requests := make(chan incoming)
	go func() {
		// Reads ahead, so that the end of the connection is seen during work.
		for {
			frame, files, err := c.Receive()
			file := first(files)
			if err != nil {
				cancel()
			}
			select {
			case requests <- incoming{frame, file, err}:
			case <-ctx.Done():
				closeFile(file)
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case in := <-requests:
			if errors.Is(in.err, io.EOF) {
				return nil
			} else if in.err != nil {
				return in.err
			}
			answer, err := answer(ctx, work, in.frame, in.file)
			closeFile(in.file)
			if err != nil {
				return err
			}
			if err := c.Send(answer.encode()); err != nil {
				return err
			}
		}
	}
}

func answer(ctx context.Context, work Direct, frame []byte, file *os.File) (*reply, error) {
	r, err := decodeRequest(frame, file)
	if err != nil {
		return nil, err
	}
	me := Identity{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	var out reply
	switch r.op {
	case opDeliver:
		out.warnings, err = work.Deliver(ctx, me, r.delivery)
	case opRun:
		out.outcome, err = work.Run(ctx, me, r.command)
	case opRead:
		out.file, err = work.Read(ctx, me, r.path, r.limit)
	}
	if err != nil && !errors.As(err, &out.err) {
		out.err = &mail.Error{Reply: 450, Code: "4.3.0", Text: err.Error()}
	}
	if out.err != nil && out.err.Err != nil {
		// The cause is for our log only and does not travel with the error.
		out.warnings = append(out.warnings, out.err.Err.Error())
	}
	return &out, nil
}
