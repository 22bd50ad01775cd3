package smtp

import (
	"net/netip"
	"strconv"
)

// peer is one server to try.
type peer struct {
	host string
	addr netip.Addr
	port uint16
	path string // unix-domain socket; then addr and port are not set
	pref uint16 // of the mail exchanger
	best bool   // no mail exchanger of the domain is preferred over this one
}

// name is how texts name the server: host[address].
func (p *peer) name() string {
	if p.path != "" {
		return p.host + "[" + p.path + "]"
	}
	return p.host + "[" + p.addr.String() + "]"
}

// relay is how relay= names it: host[address]:port.
func (p *peer) relay() string {
	if p.path != "" {
		return p.name()
	}
	return p.name() + ":" + strconv.Itoa(int(p.port))
}

// endpoint is what a connection was made to, whatever its name.
func (p *peer) endpoint() string {
	if p.path != "" {
		return p.path
	}
	return netip.AddrPortFrom(p.addr, p.port).String()
}
