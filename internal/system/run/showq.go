package run

import (
	"context"
	"net"
	"strings"
	"time"

	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/showq"
)

// showqServer lists the queue (showq(8)).
type showqServer struct {
	queue *queue.Queue
	log   *maillog.Logger
}

// listTime is how long a client may take to read one part of a listing.
const listTime = time.Minute

func (s showqServer) serve(ctx context.Context, c net.Conn) {
	list := showq.List
	if strings.HasSuffix(c.LocalAddr().String(), showq.ClientsSuffix) {
		list = showq.ListClients
	}
	list(ctx, s.queue, s.log.Warning, patient{c}) // an error: the client has gone
}

// patient writes with a new deadline each time.
type patient struct{ net.Conn }

func (p patient) Write(b []byte) (int, error) {
	p.SetWriteDeadline(time.Now().Add(listTime))
	return p.Conn.Write(b)
}
