package run

import (
	"context"
	"io"
	"net"
	"os"
	"time"

	"posthaste/internal/ipc"
	"posthaste/internal/schedule"
)

// Triggers are Postfix's way to wake a service: a client connects, writes one
// byte per wish and closes (postkick(1)).

// triggerTime is how long a client may take.
const triggerTime = 10 * time.Second

// maxTriggers bounds the wishes that are read from one client.
const maxTriggers = 64

// trigger calls each for every byte that a client sends. When this process
// leaves, its successor, which listens on the same path, gets them.
func trigger(path string, each func(byte)) func(context.Context, net.Conn) {
	return func(ctx context.Context, c net.Conn) {
		c.SetDeadline(time.Now().Add(triggerTime))
		wishes, _ := io.ReadAll(io.LimitReader(c, maxTriggers))
		if ctx.Err() != nil {
			ipc.Trigger(path, string(wishes), triggerTime)
			return
		}
		for _, w := range wishes {
			each(w)
		}
	}
}

// The wishes that qmgr knows.
const (
	wishScanIncoming = 'I'
	wishScanDeferred = 'D' // what is due
	wishScanAll      = 'A' // all of it
	wishFlushDead    = 'F' // dead destinations too
	wishWakeup       = 'W' // the wakeup timer of master
)

// wish does what a byte asks the scheduler for. ScanAll and FlushDead come
// together (postqueue -f); either alone does both.
func wish(s *schedule.Scheduler, c byte) {
	switch c {
	case wishScanIncoming:
		s.ScanIncoming()
	case wishScanDeferred, wishWakeup:
		s.ScanDeferred()
	case wishScanAll, wishFlushDead:
		s.Flush()
	}
}

// readTriggers serves a fifo: every byte is a client of its own.
func readTriggers(ctx context.Context, f *os.File, each func(context.Context, net.Conn)) {
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	buf := make([]byte, maxTriggers)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return
		}
		client, server := net.Pipe()
		go func() {
			client.Write(buf[:n])
			client.Close()
		}()
		each(ctx, server)
		server.Close()
	}
}
