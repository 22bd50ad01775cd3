package user

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/mailbox"
)

// Pool is the Worker that asks a broker for children. A child works on one
// request at a time and is kept for a while for the next one of its user.
type Pool struct {
	broker *net.UnixConn
	idle   time.Duration
	slots  chan struct{} // one token per child that lives, idle or busy

	ask sync.Mutex // one question to the broker at a time

	mu     sync.Mutex // guards what follows
	free   map[Identity][]*child
	closed bool
}

// child is a process of another user and our end of its socket. It belongs
// either to one request or to the pool's list of free ones.
type child struct {
	as    Identity
	conn  *ipc.Conn
	timer *time.Timer // closes it when it was idle for long; set while free
}

// NewPool takes over the socket to a broker. At most most children live at a
// time (0: 50); one that was idle for the given time (0: 5 s) is let go.
func NewPool(broker *os.File, most int, idle time.Duration) (*Pool, error) {
	c, err := unixConn(broker)
	if err != nil {
		return nil, err
	}
	if most <= 0 {
		most = 50
	}
	if idle <= 0 {
		idle = 5 * time.Second
	}
	return &Pool{broker: c, idle: idle, slots: make(chan struct{}, most), free: make(map[Identity][]*child)}, nil
}

// Close lets all idle children go; busy ones go when their work is done.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	var all []*child
	for as, list := range p.free {
		all = append(all, list...)
		delete(p.free, as)
	}
	p.mu.Unlock()
	for _, c := range all {
		p.drop(c)
	}
	return p.broker.Close()
}

// Deliver implements Worker.
func (p *Pool) Deliver(ctx context.Context, as Identity, d Delivery) (mailbox.Warnings, error) {
	r, err := p.call(ctx, as, &request{op: opDeliver, delivery: d})
	return r.warnings, err
}

// Run implements Worker.
func (p *Pool) Run(ctx context.Context, as Identity, c Command) (Outcome, error) {
	r, err := p.call(ctx, as, &request{op: opRun, command: c})
	return r.outcome, err
}

// Read implements Worker.
func (p *Pool) Read(ctx context.Context, as Identity, path string, limit int64) (mailbox.File, error) {
	r, err := p.call(ctx, as, &request{op: opRead, path: path, limit: limit})
	return r.file, err
}

// call has one request done by a child. A child that fails to answer is given
// up, and what it did is not known: the delivery is tried again later.
func (p *Pool) call(ctx context.Context, as Identity, r *request) (reply, error) {
	if as.UID == 0 || as.GID == 0 {
		return reply{}, &mail.Error{Reply: 450, Code: "4.3.5", Text: "delivery with superuser rights is refused"}
	}
	file, err := r.contentFile()
	if err != nil {
		return reply{}, trouble(err)
	}
	c, err := p.get(ctx, as)
	if err != nil {
		return reply{}, trouble(err)
	}
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	out, err := c.ask(r, file)
	if !stop() || err != nil {
		p.drop(c)
		if err == nil {
			err = ctx.Err()
		}
		return reply{}, trouble(err)
	}
	p.put(c)
	if out.err != nil {
		return *out, out.err
	}
	return *out, nil
}

func (c *child) ask(r *request, file *os.File) (*reply, error) {
	var files []*os.File
	if file != nil {
		files = append(files, file)
	}
	if err := c.conn.Send(r.encode(), files...); err != nil {
		return nil, err
	}
	frame, stray, err := c.conn.Receive()
	ipc.CloseAll(stray)
	if err != nil {
		return nil, err
	}
	return decodeReply(frame)
}

func trouble(err error) *mail.Error {
	return &mail.Error{Reply: 450, Code: "4.3.0", Text: "delivery process is not available", Err: err}
}

// get takes a free child of the user, or makes one.
func (p *Pool) get(ctx context.Context, as Identity) (*child, error) {
	if c := p.take(as); c != nil {
		return c, nil
	}
	select {
	case p.slots <- struct{}{}:
	default:
		p.evict()
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	socket, err := p.spawn(ctx, as)
	if err == nil {
		var peer *ipc.Conn
		if peer, err = newConn(socket); err == nil {
			return &child{as: as, conn: peer}, nil
		}
	}
	<-p.slots
	return nil, err
}

func (p *Pool) take(as Identity) *child {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.free[as]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	p.remove(c)
	return c
}

// remove takes c off the free list; p.mu is held.
func (p *Pool) remove(c *child) bool {
	list := p.free[c.as]
	for i, have := range list {
		if have != c {
			continue
		}
		c.timer.Stop()
		if list = append(list[:i], list[i+1:]...); len(list) == 0 {
			delete(p.free, c.as)
		} else {
			p.free[c.as] = list
		}
		return true
	}
	return false
}

// put makes a child free for its user's next request.
func (p *Pool) put(c *child) {
	p.mu.Lock()
	if p.closed || len(p.slots) == cap(p.slots) {
		// Others may be waiting for a slot.
		p.mu.Unlock()
		p.drop(c)
		return
	}
	c.timer = time.AfterFunc(p.idle, func() { p.expire(c) })
	p.free[c.as] = append(p.free[c.as], c)
	p.mu.Unlock()
}

func (p *Pool) expire(c *child) {
	p.mu.Lock()
	mine := p.remove(c)
	p.mu.Unlock()
	if mine {
		p.drop(c)
	}
}

// evict lets any one idle child go, to make room.
func (p *Pool) evict() {
	p.mu.Lock()
	var victim *child
	for _, list := range p.free {
		victim = list[0]
		break
	}
	if victim != nil {
		p.remove(victim)
	}
	p.mu.Unlock()
	if victim != nil {
		p.drop(victim)
	}
}

func (p *Pool) drop(c *child) {
	c.conn.Close()
	<-p.slots
}

// spawn asks the broker for a child.
func (p *Pool) spawn(ctx context.Context, as Identity) (*os.File, error) {
	p.ask.Lock()
	defer p.ask.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	question := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, as.UID), as.GID)
	if _, err := p.broker.Write(question); err != nil {
		return nil, err
	}
	var answer [1]byte
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := p.broker.ReadMsgUnix(answer[:], oob)
	if err != nil {
		return nil, err
	}
	file, err := passedFile(oob[:oobn])
	switch {
	case err != nil:
		return nil, err
	case n == 1 && answer[0] == brokerOK && file != nil:
		return file, nil
	}
	closeFile(file)
	if n == 1 && answer[0] == brokerRefused {
		return nil, errors.New("the broker refuses this user")
	}
	return nil, errors.New("the broker could not make a process")
}
