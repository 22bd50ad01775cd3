package smtp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"syscall"
	"time"
)

// connect opens a connection. The failure's text names the address and port.
func (a *Agent) connect(ctx context.Context, p *peer) (net.Conn, *failure) {
	if p.path != "" {
		return a.connectLocal(ctx, p)
	}
	local := a.settings.bind6
	if p.addr.Is4() {
		local = a.settings.bind4
	}
	conn, err := a.dial(ctx, p, local)
	if err != nil && local.IsValid() && cannotBind(err) {
		a.deps.Log.Warning("smtp_connect_addr: bind %s: %s", local, systemText(err))
		if a.params.BindAddressEnforce {
			return nil, siteFailure("4.4.0", "server configuration error")
		}
		conn, err = a.dial(ctx, p, netip.Addr{})
	}
	if err != nil {
		return nil, siteFailure("4.4.1", "connect to %s:%d: %s", p.name(), p.port, systemText(err))
	}
	return conn, nil
}

func (a *Agent) dial(ctx context.Context, p *peer, local netip.Addr) (net.Conn, error) {
	dialer := net.Dialer{Timeout: a.params.ConnectTimeout, KeepAlive: -1}
	if local.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	return dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(p.addr, p.port).String())
}

// cannotBind tells whether it was our own end of the connection that failed.
func cannotBind(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EADDRINUSE)
}

// maxSocketPath is the size of sun_path less the final NUL (unix(7)).
const maxSocketPath = 107

// connectLocal connects to a unix-domain socket; a relative path counts from
// the queue directory.
func (a *Agent) connectLocal(ctx context.Context, p *peer) (net.Conn, *failure) {
	path := p.path
	if !filepath.IsAbs(path) {
		path = filepath.Join(a.params.Common.QueueDirectory, path)
	}
	if len(path) > maxSocketPath {
		a.deps.Log.Warning("unix-domain name too long: %s", path)
		return nil, siteFailure("4.3.5", "Server configuration error")
	}
	dialer := net.Dialer{Timeout: a.params.ConnectTimeout}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, siteFailure("4.4.1", "connect to %s: %s", p.name(), systemText(err))
	}
	return conn, nil
}

// open connects and greets.
func (d *delivery) open(p *peer, loops bool) (*session, *failure) {
	conn, f := d.agent.connect(d.ctx, p)
	if f != nil {
		return nil, f
	}
	s := &session{agent: d.agent, peer: *p, since: time.Now()}
	s.attach(conn)
	stop := context.AfterFunc(d.ctx, s.interrupt)
	defer stop()
	f = s.hello(d.ctx, d.req.Nexthop, loops)
	if f == nil {
		return s, nil
	}
	if f.broken && f.status.DiagText == "" {
		s.conn.Close()
	} else {
		s.quit() // RFC 5321 section 4.1.1.10: also after a refusal
	}
	s.closeHistory(d.ctx, d.req.Envelope.Sender)
	f.status.Relay = p.relay()
	return nil, f
}
