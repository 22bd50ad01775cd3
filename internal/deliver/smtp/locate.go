package smtp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"

	"posthaste/internal/protocol/dns"
)

// maxExchangers bounds the mail exchangers looked up for one message: two
// address lookups each. Postfix asks for all; a hostile zone can list hundreds.
const maxExchangers = 15

// located is where a destination's mail goes.
type located struct {
	peers []peer
	weAre bool // this host is a mail exchanger of the domain: no fallback relay
}

// locate finds the servers of a destination, best first.
func (a *Agent) locate(ctx context.Context, h *hop) (located, *failure) {
	if h.path != "" {
		return located{peers: []peer{{host: a.params.Common.MyHostname, path: h.path, best: true}}}, nil
	}
	if h.lookup && a.settings.lookupMX {
		return a.locateDomain(ctx, h)
	}
	peers, f := a.addresses(ctx, h.host, 0)
	if f != nil {
		return located{}, f
	}
	if a.detectsLoops(h) && slices.ContainsFunc(peers, a.isSelf) {
		return located{weAre: true}, loopFailure(h.host)
	}
	return located{peers: a.order(peers, h.port)}, nil
}

// detectsLoops tells whether mail that would go to ourselves is a mistake: on
// the standard port another system was meant, on any other port it is a filter.
func (a *Agent) detectsLoops(h *hop) bool { return !a.lmtp && h.port == smtpPort }

func loopFailure(host string) *failure {
	return siteFailure("5.4.6", "mail for %s loops back to myself", host)
}

func (a *Agent) isSelf(p peer) bool { return a.own[p.addr.Unmap()] }

// isSelfMX is isSelf for a mail exchanger, whose address the domain's owner
// chose: no exchanger of another system has a loopback address.
func (a *Agent) isSelfMX(p peer) bool {
	return a.isSelf(p) || p.addr.Unmap().IsLoopback() || p.addr.IsUnspecified()
}

// locateDomain asks for the mail exchangers of a domain (RFC 5321 section 5.1).
func (a *Agent) locateDomain(ctx context.Context, h *hop) (located, *failure) {
	name, _ := dns.ToASCII(h.host)
	answer, err := a.deps.Resolver.Lookup(ctx, name, dns.TypeMX, a.lookupOptions())
	if err != nil {
		var e *dns.Error
		known := errors.As(err, &e)
		if known && (e.Missing() || a.params.IgnoreMXError && e.Kind != dns.NullMX) {
			host := *h
			host.lookup = false
			return a.locate(ctx, &host)
		}
		return located{}, lookupFailure(err)
	}
	records := slices.Clone(answer.Records)
	if a.params.RandomizeAddresses {
		rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	}
	slices.SortStableFunc(records, func(x, y dns.Record) int { return int(x.Pref) - int(y.Pref) })
	peers, f := a.exchangers(ctx, records)
	if len(peers) == 0 {
		a.deps.Log.Warning("no MX host for %s has a valid address record", h.host)
		if a.params.DeferNoMXAddress && f.status.Code[0] == '5' {
			f.status.Code = "4" + f.status.Code[1:]
			f.classify()
		}
		return located{}, f
	}
	return a.withoutSelf(h, peers, records[0].Pref)
}

// exchangers looks the addresses of mail exchangers up until there are enough
// of them. A level of preference is always finished, because this host may be
// on it.
func (a *Agent) exchangers(ctx context.Context, records []dns.Record) (peers []peer, last *failure) {
	for i, mx := range records {
		enough := a.params.MXAddressLimit > 0 && len(peers) >= 2*a.params.MXAddressLimit
		if i == maxExchangers || enough && mx.Pref != records[i-1].Pref {
			break
		}
		found, f := a.addresses(ctx, mx.Host, mx.Pref)
		if f != nil {
			if last == nil || f.status.Code[0] == '4' {
				last = f
			}
			continue
		}
		peers = append(peers, found...)
	}
	return peers, last
}

// withoutSelf drops this host and all mail exchangers that are not preferred
// over it, lest mail goes round in circles (RFC 5321 section 5.1).
func (a *Agent) withoutSelf(h *hop, peers []peer, best uint16) (located, *failure) {
	self := -1
	if a.detectsLoops(h) {
		self = slices.IndexFunc(peers, a.isSelfMX)
	}
	if self < 0 {
		markBest(peers, best)
		return located{peers: a.order(peers, h.port)}, nil
	}
	pref, first := peers[self].pref, peers[0].pref
	peers = slices.DeleteFunc(peers, func(p peer) bool { return p.pref >= pref })
	switch {
	case len(peers) > 0:
		markBest(peers, best)
		return located{peers: a.order(peers, h.port), weAre: true}, nil
	case first != best:
		// Better exchangers exist, but their addresses are not known now.
		return located{weAre: true}, siteFailure("4.4.4", "unable to find primary relay for %s", h.host)
	}
	return located{weAre: true}, loopFailure(h.host)
}

func markBest(peers []peer, best uint16) {
	for i := range peers {
		peers[i].best = peers[i].pref == best
	}
}

func (a *Agent) lookupOptions() dns.Options {
	return dns.Options{Search: a.settings.search, DNSSEC: a.settings.dnssec}
}

// addresses looks the addresses of a host up.
func (a *Agent) addresses(ctx context.Context, host string, pref uint16) ([]peer, *failure) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []peer{{host: host, addr: addr, pref: pref}}, nil
	}
	name, _ := dns.ToASCII(host)
	var f *failure
	if a.settings.useDNS {
		found, err := a.addressRecords(ctx, name, a.lookupOptions())
		if err == nil {
			return makePeers(name, pref, found), nil
		}
		f = lookupFailure(err)
		if a.settings.dnssec && f.status.Code[0] == '4' {
			return nil, f
		}
	}
	if a.settings.useNative {
		found, f := a.nativeAddresses(ctx, name)
		return makePeers(name, pref, found), f
	}
	return nil, f
}

// addressRecords asks for the address records of all families in use. A
// temporary error of one does not matter when another has an address.
func (a *Agent) addressRecords(ctx context.Context, name string, o dns.Options) (found []netip.Addr, failed error) {
	for _, t := range a.families {
		answer, err := a.deps.Resolver.Lookup(ctx, name, t, o)
		var e *dns.Error
		if err != nil && (failed == nil || !errors.As(failed, &e) || !e.Temporary()) {
			failed = err
		}
		for _, r := range answer.Records {
			found = append(found, r.Addr)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	return nil, failed
}

// nativeAddresses does what the system's resolver does with its usual
// settings: the hosts file, then DNS with the search list.
func (a *Agent) nativeAddresses(ctx context.Context, name string) ([]netip.Addr, *failure) {
	var found []netip.Addr
	for _, addr := range a.deps.Hosts.Lookup(name) {
		if slices.Contains(a.families, familyOf(addr)) {
			found = append(found, addr)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	found, err := a.addressRecords(ctx, name, dns.Options{Search: true})
	if err == nil {
		return found, nil
	}
	var e *dns.Error
	errors.As(err, &e)
	switch {
	case e == nil || e.Temporary():
		return nil, siteFailure("4.4.4", "unable to look up host %s: Temporary failure in name resolution", name)
	case e.Kind == dns.NoData:
		return nil, siteFailure("5.4.4", "unable to look up host %s: No address associated with hostname", name)
	}
	return nil, siteFailure("5.4.4", "unable to look up host %s: Name or service not known", name)
}

func familyOf(addr netip.Addr) dns.Type {
	if addr.Is4() {
		return dns.TypeA
	}
	return dns.TypeAAAA
}

func makePeers(host string, pref uint16, addrs []netip.Addr) []peer {
	peers := make([]peer, len(addrs))
	for i, addr := range addrs {
		peers[i] = peer{host: host, addr: addr, pref: pref}
	}
	return peers
}
