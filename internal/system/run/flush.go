package run

import (
	"bufio"
	"context"
	"net"

	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/schedule"
	"time"
)

// flushServer starts deliveries on demand (flush(8)): of one message. Mail for
// one site is not kept apart here, so that a wish for a site tries all
// deferred mail whose time has come.
type flushServer struct{ scheduler *schedule.Scheduler }

// The answers of flush.
const (
	flushOK   = 0
	flushFail = -1
	flushBad  = -2
)

func (f flushServer) serve(_ context.Context, c net.Conn) {
	c.SetDeadline(time.Now().Add(triggerTime))
	out := ipc.Attributes{Writer: bufio.NewWriter(c)}
	out.Announce("queue_flush_protocol")
	if out.Flush() != nil {
		return
	}
	request, err := ipc.ReadAttributes(bufio.NewReader(c))
	if err != nil {
		return
	}
	out.Number("status", int64(f.do(request)))
	out.End()
	out.Flush()
}

func (f flushServer) do(request map[string]string) int {
	switch request["request"] {
	case "send_file":
		id := mail.QueueID(request["queue_id"])
		if !id.Valid() {
			return flushBad
		}
		f.scheduler.FlushMessages(id)
	case "send_site":
		f.scheduler.ScanDeferred()
	case "add", "refresh", "purge": // there is nothing to keep up to date
	default:
		return flushFail
	}
	return flushOK
}
