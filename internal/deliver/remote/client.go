package remote

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"

	"posthaste/internal/deliver"
	"posthaste/internal/ipc"
	"posthaste/internal/mail"
)

// ErrUnavailable is the error of a service that cannot be reached: nothing was
// delivered, and the scheduler leaves its transport alone for a while.
var ErrUnavailable = errors.New("mail transport unavailable")

// Unavailable tells whether err is ErrUnavailable.
func Unavailable(err error) bool { return errors.Is(err, ErrUnavailable) }

// Client asks the agent behind a socket. It is safe for concurrent use: each
// delivery under way has a connection of its own.
type Client struct {
	path string
	keep int

	mu     sync.Mutex
	idle   []*ipc.Conn
	closed bool
}

// NewClient makes a client of the service whose socket is at path. It keeps at
// most keep connections that are not in use.
func NewClient(path string, keep int) *Client { return &Client{path: path, keep: keep} }

// Close closes the connections that are not in use, and others when their
// delivery ends.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conn := range c.idle {
		conn.Close()
	}
	c.idle = nil
}

// Deliver implements deliver.Agent. Its error is ErrUnavailable when the
// service cannot be reached.
func (c *Client) Deliver(ctx context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
	file, err := descriptor(r.Content)
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(r.Content.File)
	d := delivery{frame: encodeRequest(&r), file: file, recipients: len(r.Recipients), done: done}
	for fresh := 0; ; {
		conn, kept, err := c.get()
		if err == nil {
			err = c.use(ctx, conn, &d)
		}
		switch {
		case err == nil:
			return d.outcome
		case ctx.Err() != nil:
			return ctx.Err()
		case d.taken:
			return fmt.Errorf("%s: connection lost during delivery: %w", c.path, err)
		case kept: // its server was replaced while nobody looked
			continue
		}
		if fresh++; fresh == 2 {
			return fmt.Errorf("%w: %s: %w", ErrUnavailable, c.path, err)
		}
	}
}

// get takes an idle connection or makes one.
func (c *Client) get() (conn *ipc.Conn, kept bool, err error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		conn = c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		return conn, true, nil
	}
	c.mu.Unlock()
	conn, err = ipc.Dial(c.path)
	return conn, false, err
}

// use runs a delivery over conn and keeps conn when all went well with it.
func (c *Client) use(ctx context.Context, conn *ipc.Conn, d *delivery) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err := d.run(conn)
	if !stop() || err != nil {
		conn.Close()
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle) >= c.keep {
		conn.Close()
		return nil
	}
	c.idle = append(c.idle, conn)
	return nil
}

// delivery is one request and what became of it.
type delivery struct {
	frame      []byte
	file       int // descriptor of the content
	recipients int
	done       func(mail.RecipientIndex, mail.Status)
	taken      bool  // the server may have begun
	outcome    error // what the agent returned
}

// errNotTaken is the error of a server that leaves.
var errNotTaken = errors.New("the service is about to be replaced")

// sendTime bounds waiting for a peer that does not read. master keeps the socket
// of a service open while its process is being restarted, and requests wait there.
const sendTime = time.Minute

// run sends the request and reads the answers. Its error is the connection's.
// There is no limit on the time that an agent takes: it has its own.
func (d *delivery) run(conn *ipc.Conn) error {
	conn.SetWriteDeadline(time.Now().Add(sendTime))
	if err := conn.SendDescriptors(d.frame, d.file); err != nil {
		return err
	}
	for {
		frame, files, err := conn.Receive()
		ipc.CloseAll(files)
		if err != nil {
			// A unix socket that is closed with unread data resets the connection.
			d.taken = d.taken || !errors.Is(err, syscall.ECONNRESET)
			return err
		}
		a, err := decodeAnswer(frame, d.recipients)
		if err != nil {
			d.taken = true
			return err
		}
		if a.kind == answerNotTaken {
			return errNotTaken
		}
		d.taken = true
		switch a.kind {
		case answerResult:
			d.done(mail.RecipientIndex(a.index), a.status)
		case answerLast:
			d.done(mail.RecipientIndex(a.index), a.status)
			return nil
		case answerDone:
			return nil
		case answerSite:
			d.outcome = &deliver.SiteError{Status: a.status}
			return nil
		case answerFailure:
			d.outcome = errors.New(a.text)
			return nil
		}
	}
}
