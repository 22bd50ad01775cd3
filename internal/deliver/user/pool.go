package user

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/mailbox"
)

// Pool is the Worker that asks a broker for children. A child works on the
// requests of its user over lanes, one request at a time on each, and is kept
// for a while for the next ones.
type Pool struct {
	broker *net.UnixConn
	idle   time.Duration
	slots  chan struct{} // one token per lane, idle or busy

	ask sync.Mutex // one question to the broker at a time

	mu       sync.Mutex // guards what follows
	free     map[Identity][]*lane
	children map[Identity][]*child
	closed   bool
}

// child is a process of another user.
type child struct {
	control *ipc.Conn // tells it of lanes; it ends when this is closed
	lanes   int       // guarded by Pool.mu
}

// maxLanes bounds the requests that one child works on at a time.
const maxLanes = 20

// lane is our end of a socket to a child. It belongs either to one request or to
// the pool's list of free ones.
type lane struct {
	as    Identity
	child *child
	conn  *ipc.Conn
	timer *time.Timer // closes it when it was idle for long; set while free
}

// NewPool takes over the socket to a broker. At most most requests are worked on
// at a time (0: 50); a lane that was idle for the given time (0: 5 s) is closed.
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
	return &Pool{broker: c, idle: idle, slots: make(chan struct{}, most),
		free: make(map[Identity][]*lane), children: make(map[Identity][]*child)}, nil
}

// Close closes all idle lanes; busy ones are closed when their work is done, and
// children end with their last lane.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	var all []*lane
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

// call has one request done by a child. A lane that fails to answer is given
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
		if err != nil {
			p.forsake(c.child)
		}
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

func (c *lane) ask(r *request, file *os.File) (*reply, error) {
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

// get takes a free lane of the user, or makes one.
func (p *Pool) get(ctx context.Context, as Identity) (*lane, error) {
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
	l, err := p.open(ctx, as)
	if err != nil {
		<-p.slots
	}
	return l, err
}

// open makes a lane to a child that has room, or to a new one.
func (p *Pool) open(ctx context.Context, as Identity) (*lane, error) {
	for {
		c := p.join(as)
		if c == nil {
			break
		}
		if l, err := p.lane(as, c); err == nil {
			return l, nil
		}
		p.leave(as, c) // it has died
	}
	socket, err := p.spawn(ctx, as)
	if err != nil {
		return nil, err
	}
	control, err := newConn(socket)
	if err != nil {
		return nil, err
	}
	c := &child{control: control, lanes: 1}
	p.mu.Lock()
	p.children[as] = append(p.children[as], c)
	p.mu.Unlock()
	l, err := p.lane(as, c)
	if err != nil {
		p.leave(as, c)
	}
	return l, err
}

// join reserves a lane of a child that has room.
func (p *Pool) join(as Identity) *child {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.children[as] {
		if c.lanes < maxLanes {
			c.lanes++
			return c
		}
	}
	return nil
}

// leave gives a lane back; a child without lanes is let go.
func (p *Pool) leave(as Identity, c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.lanes--; c.lanes > 0 {
		return
	}
	c.control.Close()
	left := slices.DeleteFunc(p.children[as], func(o *child) bool { return o == c })
	if p.children[as] = left; len(left) == 0 {
		delete(p.children, as)
	}
}

// lane tells a child of a new lane.
func (p *Pool) lane(as Identity, c *child) (*lane, error) {
	ours, theirs, err := pair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	conn, err := newConn(ours)
	if err != nil {
		return nil, err
	}
	if err := c.control.Send(nil, theirs); err != nil {
		conn.Close()
		return nil, err
	}
	return &lane{as: as, child: c, conn: conn}, nil
}

func (p *Pool) take(as Identity) *lane {
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
func (p *Pool) remove(c *lane) bool {
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

// put makes a lane free for its user's next request.
func (p *Pool) put(c *lane) {
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

func (p *Pool) expire(c *lane) {
	p.mu.Lock()
	mine := p.remove(c)
	p.mu.Unlock()
	if mine {
		p.drop(c)
	}
}

// evict closes any one idle lane, to make room.
func (p *Pool) evict() {
	p.mu.Lock()
	var victim *lane
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

// forsake closes the free lanes of a child that may have died: each would fail
// one more request.
func (p *Pool) forsake(c *child) {
	p.mu.Lock()
	var lost []*lane
	for _, list := range p.free {
		for _, l := range slices.Clone(list) {
			if l.child == c && p.remove(l) {
				lost = append(lost, l)
			}
		}
	}
	p.mu.Unlock()
	for _, l := range lost {
		p.drop(l)
	}
}

func (p *Pool) drop(c *lane) {
	c.conn.Close()
	p.leave(c.as, c.child)
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
