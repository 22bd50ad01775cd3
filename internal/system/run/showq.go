package run

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"net"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

// showqServer lists the queue (showq(8)).
type showqServer struct {
	queue *queue.Queue
	log   *maillog.Logger
}

// listed are the queues in the order of the listing.
var listed = []queue.Name{queue.Maildrop, queue.Active, queue.Incoming, queue.Deferred, queue.Hold}

// listTime is how long a client may take to read one part of a listing.
const listTime = time.Minute

func (s showqServer) serve(ctx context.Context, c net.Conn) {
	out := attributes{bufio.NewWriterSize(patient{c}, 64<<10)}
	out.announce("mail_queue_list_protocol")
	for _, name := range listed {
		for id, err := range s.queue.List(name) {
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				err = s.message(out, name, id)
			}
			switch {
			case err == nil || errors.Is(err, queue.ErrGone):
			case errors.As(err, new(net.Error)):
				return // the client has gone
			default:
				s.log.Warning("%s %s: %s", name, id, err)
			}
		}
	}
	out.end()
	out.Flush()
}

// patient writes with a new deadline each time.
type patient struct{ net.Conn }

func (p patient) Write(b []byte) (int, error) {
	p.SetWriteDeadline(time.Now().Add(listTime))
	return p.Conn.Write(b)
}

// message lists one message and the recipients it still has.
func (s showqServer) message(out attributes, name queue.Name, id mail.QueueID) error {
	f, err := s.queue.Open(name, id)
	if err != nil {
		return err
	}
	defer f.Close()
	if !f.Stat.Ready() {
		return nil
	}
	if name == queue.Maildrop {
		sub, err := record.ReadSubmission(f, false)
		if err != nil {
			return err
		}
		s.head(out, name, id, sub.Envelope.Sender, f.Stat.MTime, f.Stat.Size, false)
		err = sub.Recipients(func(r mail.Recipient) error {
			s.recipient(out, r.Address, "")
			return nil
		})
		out.end()
		return err
	}
	info, err := f.Info(0)
	if err != nil {
		return err
	}
	why := map[mail.Address]string{}
	within := map[int64]string{} // an alias waits for a destination of its own
	if name != queue.Incoming {
		log, err := s.queue.ReadLog(queue.DeferLog, id)
		if err != nil && !errors.Is(err, queue.ErrGone) {
			s.log.Warning("defer log of %s: %s", id, err)
		}
		for _, e := range log {
			why[e.Recipient.Address] = e.Status.Reason
			within[e.Offset] = e.Status.Reason
		}
	}
	arrival := info.Arrival
	if arrival.IsZero() {
		arrival = info.Created
	}
	s.head(out, name, id, info.Sender, arrival, info.DataSize, f.Stat.Expired())
	for _, e := range info.Entries {
		if !e.Done {
			s.recipient(out, e.Recipient.Address, cmp.Or(why[e.Recipient.Address], within[e.Offset]))
		}
	}
	out.end()
	return out.Flush()
}

func (s showqServer) head(out attributes, name queue.Name, id mail.QueueID, sender mail.Address, at time.Time, size int64, expired bool) {
	out.put("queue_name", string(name))
	out.put("queue_id", string(id))
	out.number("time", at.Unix())
	out.number("size", size)
	force := int64(0)
	if expired {
		force = 1
	}
	out.number("forced_expire", force)
	out.put("sender", maillog.Sanitize(sender.Quoted()))
}

func (s showqServer) recipient(out attributes, to mail.Address, reason string) {
	out.put("recipient", maillog.Sanitize(to.Quoted()))
	out.put("reason", maillog.Sanitize(reason))
}
