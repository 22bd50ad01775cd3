package smtpd

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/protocol/smtp"
	"posthaste/internal/receive/smtpd/restrictions"
)

// nameTimeout bounds the search for a client's name, so that a broken name
// server does not hold the greeting for long.
const nameTimeout = 30 * time.Second

// identify finds out who the client is and which limits apply to it.
func (s *session) identify() {
	p := &s.srv.p
	s.client = mail.Client{Name: "unknown", ReverseName: "unknown", Protocol: "SMTP"}
	if ap, ok := addrPort(s.link.conn.RemoteAddr()); ok {
		s.addr = ap.Addr()
		s.client.Address, s.client.Port = s.addr.String(), strconv.Itoa(int(ap.Port()))
		s.lookUpName()
	} else {
		// Not a network client: sendmail -bs.
		s.addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		s.client.Name, s.client.ReverseName, s.client.Address = "localhost", "localhost", "127.0.0.1"
	}
	if ap, ok := addrPort(s.link.conn.LocalAddr()); ok {
		s.local, s.port = ap.Addr().String(), strconv.Itoa(int(ap.Port()))
	}
	s.named = s.client.Name + "[" + s.client.Address + "]"
	if p.ClientPortLogging && s.client.Port != "" {
		s.named += ":" + s.client.Port
	}
	bits := p.Anvil.IPv6Prefix
	if s.addr.Is4() {
		bits = p.Anvil.IPv4Prefix
	}
	prefix, err := s.addr.Prefix(bits)
	if err != nil {
		prefix = netip.PrefixFrom(s.addr, s.addr.BitLen())
	}
	s.anvilKey = anvilKey{s.srv.deps.Service, prefix}
	s.off = s.discarded()
	if s.srv.deps.StandAlone {
		return // no limit, a bare line feed ends a line, and headers are completed
	}
	s.limited = !s.inList(s.srv.noLimits.Match)
	s.verp = s.inList(s.srv.verp.Match)
	s.bareLF = s.srv.bareLF
	if s.bareLF != bareLFAllow && s.inList(s.srv.oldLF.Match) {
		s.bareLF = bareLFAllow
	}
	s.rewrite = !s.isLocal()
}

// inList asks a match list about the client. A list that cannot be read
// matches nobody: these lists only ever relax a rule.
func (s *session) inList(match func(ctx context.Context, name, addr string) (bool, error)) bool {
	ok, err := match(s.ctx, s.client.Name, s.client.Address)
	if err != nil {
		s.srv.deps.Log.Warning("%v", err)
	}
	return ok && err == nil
}

// isLocal tells whether headers of this client are completed with our domain
// (local_header_rewrite_clients).
func (s *session) isLocal() bool {
	for _, w := range s.srv.p.LocalRewriteClients {
		switch w {
		case "permit_inet_interfaces":
			if s.srv.deps.IsOwn != nil && s.srv.deps.IsOwn(s.addr) {
				return true
			}
		case "permit_mynetworks":
			if s.inList(func(ctx context.Context, _, _ string) (bool, error) { return s.srv.check.Trusted(ctx, s.client) }) {
				return true
			}
		}
	}
	return false
}

// addrPort takes the address out of a network address, in its plain form:
// IPv4 in IPv6 is IPv4, and no zone.
func addrPort(a net.Addr) (netip.AddrPort, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()), ap.IsValid()
}

// lookUpName looks for the client's name. Only a name whose own addresses
// include the client's is believed; anybody can claim any other.
func (s *session) lookUpName() {
	names := s.srv.deps.Names
	if names == nil || !s.srv.p.PeernameLookup {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, nameTimeout)
	defer cancel()
	reverse, err := names.Reverse(ctx, s.addr)
	if err != nil || len(reverse) == 0 {
		return
	}
	name := trimDot(reverse[0])
	if !smtp.ValidDomain(name) || !mail.IsASCII(name) {
		return // it could carry anything, and ends up in log lines and headers
	}
	s.client.ReverseName = name
	addrs, err := names.Addresses(ctx, name)
	if err != nil {
		s.srv.deps.Log.Warning("hostname %s does not resolve to address %s: %s", name, s.addr, lookupText(err))
		return
	}
	for _, a := range addrs {
		if a.Unmap() == s.addr {
			s.client.Name = name
			return
		}
	}
	s.srv.deps.Log.Warning("hostname %s does not resolve to address %s", name, s.addr)
}

func lookupText(err error) string {
	var nf interface{ NotFound() bool }
	if errors.As(err, &nf) && nf.NotFound() {
		return "Name or service not known"
	}
	return err.Error()
}

func trimDot(s string) string {
	if n := len(s); n > 1 && s[n-1] == '.' {
		return s[:n-1]
	}
	return s
}

// request is what the restrictions are to know at this point.
func (s *session) request(where string) *restrictions.Request {
	q := &restrictions.Request{
		Where: where, Client: s.client, Addr: s.addr, Helo: s.helo, ESMTP: s.esmtp,
		HasSender: s.tx.open, Sender: s.tx.env.Sender, Recipients: s.tx.rcpts,
		Pipelined: s.pending, Deferred: &s.deferred, Actions: &s.tx.actions,
	}
	q.Blame = s.blame
	q.Report = func(kind, text string) { s.logPolicy(q, kind, text) }
	return q
}

// dataRequest is a request behind the recipients. What is said of one recipient
// would mislead when there are several (postconf(5), smtpd_data_restrictions).
func (s *session) dataRequest(where string) *restrictions.Request {
	q := s.request(where)
	if s.tx.rcpts == 1 {
		q.Recipient = s.tx.first
	}
	return q
}

// logPolicy logs a decision about a request.
func (s *session) logPolicy(q *restrictions.Request, kind, text string) {
	p := maillog.Policy{ID: s.messageID(), Kind: kind, Where: q.Where, Client: s.named, Text: text,
		Protocol: s.client.Protocol, Helo: q.Helo}
	if q.HasSender {
		p.From = &q.Sender
	}
	if q.Recipient != "" {
		p.To = &q.Recipient
	}
	s.srv.deps.Log.ClientPolicy(p)
}
