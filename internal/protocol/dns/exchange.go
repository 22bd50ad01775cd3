package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// udpSize is what a reply may measure without being cut off for fragmentation.
const udpSize = 1232

var errNoReply = errors.New("no usable reply from any name server")

// ask sends one question to the servers in turn until one gives an answer that
// can be used. Servers that fail or refuse count as silent.
func (c *Client) ask(ctx context.Context, name string, t Type, o Options) (*dns.Msg, error) {
	query := new(dns.Msg)
	query.SetQuestion(dns.Fqdn(name), uint16(t))
	if o.DNSSEC {
		query.SetEdns0(udpSize, true)
		query.AuthenticatedData = true
	}
	first := 0
	if c.config.Rotate {
		first = int(c.turn.Add(1))
	}
	last := errNoReply
	for range c.config.Attempts {
		for i := range c.config.Servers {
			server := c.config.Servers[(first+i)%len(c.config.Servers)]
			reply, err := c.exchange(ctx, server, query)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				last = err
				continue
			}
			switch reply.Rcode {
			case dns.RcodeServerFailure, dns.RcodeNotImplemented, dns.RcodeRefused:
				last = errors.New(server.String() + ": " + dns.RcodeToString[reply.Rcode])
				continue
			}
			return reply, nil
		}
	}
	return nil, last
}

// exchange asks one server: by UDP from a fresh port, and by TCP when the reply
// does not fit.
func (c *Client) exchange(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	query.Id = dns.Id()
	wire, err := query.Pack()
	if err != nil {
		return nil, err
	}
	if !c.config.UseTCP {
		reply, err := c.overUDP(ctx, server, query, wire)
		if err != nil || !reply.Truncated {
			return reply, err
		}
	}
	return c.overTCP(ctx, server, query, wire)
}

func (c *Client) dial(ctx context.Context, network string, server netip.AddrPort) (net.Conn, error) {
	deadline := time.Now().Add(c.config.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	dialer := net.Dialer{Deadline: deadline}
	conn, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(deadline)
}

// overUDP waits for the reply to our question. Anything else that arrives at
// the port is passed over, so that a forger must guess id, port and question.
func (c *Client) overUDP(ctx context.Context, server netip.AddrPort, query *dns.Msg, wire []byte) (*dns.Msg, error) {
	conn, err := c.dial(ctx, "udp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(wire); err != nil {
		return nil, err
	}
	buf := make([]byte, udpSize+1)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if reply, err := decode(buf[:n], query); err == nil {
			return reply, nil
		}
	}
}

func (c *Client) overTCP(ctx context.Context, server netip.AddrPort, query *dns.Msg, wire []byte) (*dns.Msg, error) {
	conn, err := c.dial(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, len(wire)+2), uint16(len(wire)))
	if _, err := conn.Write(append(framed, wire...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, err
	}
	return decode(buf, query)
}

var errNotOurs = errors.New("not a reply to the question")

// decode parses a message and checks that it answers our question (RFC 5452
// section 9). A truncated UDP reply need not parse to its end.
func decode(wire []byte, query *dns.Msg) (*dns.Msg, error) {
	reply := new(dns.Msg)
	err := reply.Unpack(wire)
	if err != nil && !reply.Truncated {
		return nil, err
	}
	q := query.Question[0]
	if reply.Id != query.Id || !reply.Response || len(reply.Question) != 1 ||
		reply.Question[0].Qtype != q.Qtype || reply.Question[0].Qclass != q.Qclass ||
		!sameName(reply.Question[0].Name, q.Name[:len(q.Name)-1]) {
		return nil, errNotOurs
	}
	return reply, nil
}
