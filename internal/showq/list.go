// Package showq is the listing of the queue (showq(8)): the side that reads the
// queue directory and writes the listing in Postfix's protocol, and the side
// that reads it. Neither keeps more than one message in memory.
package showq

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"

	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
	"posthaste/internal/selection"
)

// protocol is the name that a server announces.
const protocol = "mail_queue_list_protocol"

// lister writes a listing.
type lister struct {
	queue *queue.Queue
	warn  func(format string, args ...any)
	out   ipc.Attributes
	// clients adds from where a message came. Postfix's own postqueue gives up a
	// listing with attributes that it does not know.
	clients bool
	// brief leaves the reasons of delays out, which are in files of their own.
	brief bool
}

// listed are the queues in the order of the listing.
var listed = []queue.Name{queue.Maildrop, queue.Active, queue.Incoming, queue.Deferred, queue.Hold}

// writeError tells a failure to write from one to read.
type writeError struct{ error }

type writer struct{ io.Writer }

func (w writer) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if err != nil {
		err = writeError{err}
	}
	return n, err
}

// List writes the listing of a queue to w until it is complete, ctx ends, or w
// fails; only the last is an error. What cannot be read is told to warn and
// left out.
func List(ctx context.Context, q *queue.Queue, warn func(format string, args ...any), w io.Writer) error {
	return lister{q, warn, attributes(w), false, false}.list(ctx)
}

func attributes(w io.Writer) ipc.Attributes {
	return ipc.Attributes{Writer: bufio.NewWriterSize(writer{w}, 64<<10)}
}

func (s lister) list(ctx context.Context) error {
	s.out.Announce(protocol)
	for _, name := range listed {
		for id, err := range s.queue.List(name) {
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				err = s.message(name, id)
			}
			switch {
			case err == nil || errors.Is(err, queue.ErrGone):
			case errors.As(err, new(writeError)):
				return err
			default:
				s.warn("%s %s: %s", name, id, err)
			}
		}
	}
	s.out.End()
	return s.out.Flush()
}

// ReadQueue lists a queue as it lies there, without a server, with what List
// cannot tell; brief leaves out the reasons of delays, and takes less time.
func ReadQueue(q *queue.Queue, brief bool, warn func(format string, args ...any), p Printer) error {
	from, to := io.Pipe()
	go func() { to.CloseWithError(lister{q, warn, attributes(to), true, brief}.list(context.Background())) }()
	defer from.Close()
	return Read(from, p)
}

// message lists one message and the recipients it still has.
func (s lister) message(name queue.Name, id mail.QueueID) error {
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
		s.head(name, id, &mail.Envelope{Sender: sub.Envelope.Sender, Arrival: f.Stat.MTime}, f.Stat.Size, false)
		err = sub.Recipients(func(r mail.Recipient) error {
			s.recipient(r.Address, "")
			return nil
		})
		s.out.End()
		return err
	}
	info, err := f.Info(0)
	if err != nil {
		return err
	}
	why := map[mail.Address]string{}
	within := map[int64]string{} // an alias waits for a destination of its own
	if name != queue.Incoming && !s.brief {
		log, err := s.queue.ReadLog(queue.DeferLog, id)
		if err != nil && !errors.Is(err, queue.ErrGone) {
			s.warn("defer log of %s: %s", id, err)
		}
		for _, e := range log {
			why[e.Recipient.Address] = e.Status.Reason
			within[e.Offset] = e.Status.Reason
		}
	}
	s.head(name, id, &info.Envelope, info.DataSize, f.Stat.Expired())
	for _, e := range info.Entries {
		if !e.Done {
			s.recipient(e.Recipient.Address, cmp.Or(why[e.Recipient.Address], within[e.Offset]))
		}
	}
	s.out.End()
	// Not flushed: that would wake the client for each message. An error of an
	// earlier write comes back here.
	_, err = s.out.Write(nil)
	return err
}

func (s lister) head(name queue.Name, id mail.QueueID, e *mail.Envelope, size int64, expired bool) {
	s.out.Put("queue_name", string(name))
	s.out.Put("queue_id", string(id))
	s.out.Number("time", e.Arrival.Unix())
	s.out.Number("size", size)
	force := int64(0)
	if expired {
		force = 1
	}
	s.out.Number("forced_expire", force)
	if client := e.Origin.Logged; s.clients && (client.Name != "" || client.Address != "") {
		s.out.Put("client_name", maillog.Sanitize(client.Name))
		s.out.Put("client_address", maillog.Sanitize(client.Address))
	}
	from := e.Sender.Quoted()
	if from == "" {
		from = selection.NullSender
	}
	s.out.Put("sender", maillog.Sanitize(from))
}

func (s lister) recipient(to mail.Address, reason string) {
	s.out.Put("recipient", maillog.Sanitize(to.Quoted()))
	s.out.Put("reason", maillog.Sanitize(reason))
}
