// Package showq is the listing of the queue (showq(8)): the side that reads the
// queue directory and writes the listing in Postfix's protocol, and the side
// that reads it. Neither keeps more than some messages in memory, nor more than
// some recipients of one.
//
// The files of a directory are read by several goroutines, some messages each,
// and written in the order of the directory. A server keeps what it read beside
// the queue (queue.Memo), since most of a long queue is the same at the next
// listing.
package showq

import (
	"bufio"
	"context"
	"errors"
	"io"
	"runtime"
	"sync"

	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// protocol is the name that a server announces.
const protocol = "mail_queue_list_protocol"

// ClientsSuffix follows the name of the service in the name of its second socket,
// where the listing also tells from which client a message came.
const ClientsSuffix = "-clients"

// lister writes a listing.
type lister struct {
	queue *queue.Queue
	warn  func(format string, args ...any)
	// clients adds from where a message came. Postfix's own postqueue gives up a
	// listing with attributes that it does not know.
	clients bool
	// brief leaves the reasons of delays out, which are in files of their own.
	brief bool
	// keep writes to the memos.
	keep bool
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
	return lister{queue: q, warn: warn, keep: true}.list(ctx, w)
}

// ListClients is List with the client that each message came from, which
// Postfix's own programs do not expect.
func ListClients(ctx context.Context, q *queue.Queue, warn func(format string, args ...any), w io.Writer) error {
	return lister{queue: q, warn: warn, keep: true, clients: true}.list(ctx, w)
}

// ReadQueue lists a queue as it lies there, without a server, with what List
// cannot tell; brief leaves out the reasons of delays, and takes less time.
func ReadQueue(q *queue.Queue, brief bool, warn func(format string, args ...any), p Printer) error {
	from, to := io.Pipe()
	go func() {
		to.CloseWithError(lister{queue: q, warn: warn, clients: true, brief: brief}.list(context.Background(), to))
	}()
	defer from.Close()
	return Read(from, p)
}

// batchSize is how many messages a goroutine reads at a time, and workers how
// many of them there are: most wait for the disk, or else for a processor, of
// which this process leaves some to others (runtime.GOMAXPROCS).
const (
	batchSize = 128
	workers   = 8
)

// batch is some messages of one directory, and their part of the listing.
type batch struct {
	queue.Batch
	memo  *queue.Memo // nil: the queue has none
	parts []part
	done  chan struct{} // closed when parts is complete
}

// part is a piece of a listing, and behind it, when long is not empty, a message
// with more recipients than anybody wants to have in memory.
type part struct {
	wire []byte
	long mail.QueueID
}

func (s lister) list(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	out := ipc.Attributes{Writer: bufio.NewWriterSize(writer{w}, 64<<10)}
	out.Announce(protocol)
	work, order := make(chan *batch, workers), make(chan *batch, 2*workers)
	var all sync.WaitGroup
	all.Go(func() { s.find(ctx, work, order) })
	for range workers {
		all.Go(func() { s.work(ctx, work) })
	}
	var open *batch
	err := error(nil)
	for b := range order {
		<-b.done
		if open != nil && open.Folder != b.Folder {
			open.close(ctx)
		}
		open = b
		if err == nil && ctx.Err() == nil {
			if err = s.write(out, b); err != nil {
				cancel()
			}
		}
	}
	all.Wait()
	if open != nil {
		open.close(ctx)
	}
	stopped := ctx.Err() != nil
	cancel()
	if err != nil || stopped {
		return err
	}
	out.End()
	return out.Flush()
}

// close ends a directory; that it was listed whole is not sure when ctx has ended.
func (b *batch) close(ctx context.Context) {
	if b.memo != nil {
		b.memo.Close(ctx.Err() == nil)
	}
	b.Folder.Close()
}

// find looks for messages, and passes each batch on to be read and, in order,
// to be written.
func (s lister) find(ctx context.Context, work, order chan<- *batch) {
	defer close(work)
	defer close(order)
	for _, name := range listed {
		var last *batch
		for found, err := range s.queue.Batches(name, batchSize) {
			if err != nil {
				s.warn("%s: %s", name, err)
				continue
			}
			b := &batch{Batch: found, done: make(chan struct{})}
			switch {
			case last != nil && last.Folder == b.Folder:
				b.memo = last.memo
			case name == queue.Deferred || name == queue.Hold:
				b.memo = b.Folder.Memo(s.keep)
			}
			last = b
			// The second never waits for the first: who takes from work takes all.
			order <- b
			work <- b
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// work reads batches.
func (s lister) work(ctx context.Context, work <-chan *batch) {
	var memo *queue.Memo
	var kept *queue.MemoReader
	for b := range work {
		if b.memo != memo {
			memo, kept = b.memo, nil
			if memo != nil {
				kept = memo.Reader()
			}
		}
		r := reader{lister: s, batch: b, kept: kept}
		for _, id := range b.IDs {
			if ctx.Err() != nil {
				break
			}
			r.one(id)
			runtime.Gosched() // mail in this process goes first
		}
		if kept != nil {
			kept.Done()
		}
		b.parts = append(b.parts, part{wire: r.wire})
		close(b.done)
	}
}

// tell tells of a message that could not be read.
func (s lister) tell(name queue.Name, id mail.QueueID, err error) {
	if err != nil && !errors.Is(err, queue.ErrGone) {
		s.warn("%s %s: %s", name, id, err)
	}
}

// write writes the part of a batch. It is not flushed: that would wake the
// client for each. An error of an earlier write comes back here.
func (s lister) write(out ipc.Attributes, b *batch) error {
	for _, p := range b.parts {
		if _, err := out.Write(p.wire); err != nil {
			return err
		}
		if p.long != "" {
			err := s.long(out, b, p.long)
			if errors.As(err, new(writeError)) {
				return err
			}
			s.tell(b.Folder.Queue, p.long, err)
		}
	}
	return nil
}
