package smtp

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posthaste/internal/protocol/dns"
	"posthaste/internal/protocol/dns/dnstest"
)

// addrs renders what was found: the addresses in order, or the failure.
func addrs(where located, f *failure) string {
	var out []string
	for _, p := range where.peers {
		out = append(out, p.addr.String())
	}
	if f != nil {
		out = append(out, f.status.Code+" "+f.status.Reason)
	}
	if where.weAre {
		out = append(out, "(we are)")
	}
	return strings.Join(out, " ")
}

const locateZone = `
	plain.test.    A    192.0.2.1
	two.test.      MX 20 b.test.
	two.test.      MX 10 a.test.
	a.test.        A    192.0.2.10
	a.test.        AAAA 2001:db8::10
	b.test.        A    192.0.2.20
	me.test.       A    203.0.113.1
	middle.test.   MX 10 a.test.
	middle.test.   MX 20 me.test.
	middle.test.   MX 20 b.test.
	middle.test.   MX 30 plain.test.
	onlyme.test.   MX 10 me.test.
	onlyme.test.   MX 20 a.test.
	lost.test.     MX 10 nx.test.
	lost.test.     MX 20 me.test.
	local.test.    MX 10 localhost.test.
	localhost.test. A 127.0.0.1
	zero.test.     MX 10 zero.test.
	zero.test.     A 0.0.0.0
	cname.test.    MX 10 alias.test.
	alias.test.    CNAME plain.test.
	numeric.test.  MX 10 192.0.2.77.
	soft.test.     A 192.0.2.3
	$FAULT soft.test MX ServFail
	xn--bcher-kva.test. MX 5 plain.test.
	null.test.     MX 0 .
	null.test.     A 192.0.2.4
`

func TestLocate(t *testing.T) {
	t.Parallel()
	r := dnstest.Start(t, locateZone).Resolver()
	tests := []struct {
		nexthop, want string
		tune          func(*Params)
	}{
		{"plain.test", "192.0.2.1", nil},
		{"[two.test]", "5.4.4 Host or domain name not found. Name service error for name=two.test type=AAAA: Host found but no data record of requested type", nil},
		{"two.test", "192.0.2.10 2001:db8::10 192.0.2.20", func(p *Params) { p.AddressPreference = "ipv4" }},
		{"two.test", "2001:db8::10 192.0.2.10 192.0.2.20", func(p *Params) { p.AddressPreference = "ipv6" }},
		{"two.test", "2001:db8::10", func(p *Params) { p.Common.InetProtocols = []string{"ipv6"} }},
		{"middle.test", "192.0.2.10 2001:db8::10 (we are)", func(p *Params) { p.AddressPreference = "ipv4" }},
		{"middle.test:2525", "192.0.2.10 203.0.113.1 192.0.2.20 192.0.2.1", func(p *Params) { p.Common.InetProtocols = []string{"ipv4"}; p.RandomizeAddresses = false }},
		{"onlyme.test", "5.4.6 mail for onlyme.test loops back to myself (we are)", nil},
		{"me.test", "5.4.6 mail for me.test loops back to myself (we are)", nil},
		{"[203.0.113.1]", "5.4.6 mail for 203.0.113.1 loops back to myself (we are)", nil},
		{"[203.0.113.2]", "5.4.6 mail for 203.0.113.2 loops back to myself (we are)", nil}, // proxy_interfaces
		{"lost.test", "4.4.4 unable to find primary relay for lost.test (we are)", nil},
		{"local.test", "5.4.6 mail for local.test loops back to myself (we are)", nil},
		{"zero.test", "5.4.6 mail for zero.test loops back to myself (we are)", nil},
		{"cname.test", "192.0.2.1", nil},
		{"numeric.test", "192.0.2.77", nil},
		{"192.0.2.5", "192.0.2.5", nil},
		{"[IPv6:2001:db8::7]:26", "2001:db8::7", nil},
		{"soft.test", "192.0.2.3", func(p *Params) { p.IgnoreMXError = true }},
		{"null.test", "5.1.0 Domain null.test does not accept mail (nullMX)", func(p *Params) { p.IgnoreMXError = true }},
		{"bücher.test", "192.0.2.1", nil},
		{"two.test", "192.0.2.44", func(p *Params) { p.DisableDNS = true }}, // from the hosts file
		{"two.test", "192.0.2.10 192.0.2.20", func(p *Params) { p.HostLookup = []string{"dns", "native"}; p.Common.InetProtocols = []string{"ipv4"} }},
		{"[two.test]", "192.0.2.44", func(p *Params) { p.HostLookup = []string{"dns", "native"} }},
		{"nx.test", "5.4.4 unable to look up host nx.test: Name or service not known", func(p *Params) { p.DNSSupport = "disabled" }},
		{"[$(id)]", "", nil},
	}
	path := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(path, []byte("192.0.2.44 two.test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		p := params()
		if tt.tune != nil {
			tt.tune(&p)
		}
		a, err := New(p, Deps{Log: &journal{}, Resolver: r, Hosts: dns.NewHosts(path),
			Interfaces: []netip.Addr{netip.MustParseAddr("203.0.113.1")}, Proxies: []netip.Addr{netip.MustParseAddr("203.0.113.2")}})
		if err != nil {
			t.Fatal(err)
		}
		h, err := parseHop(tt.nexthop, false, "smtp")
		if err != nil {
			if tt.want != "" {
				t.Errorf("%s: %v", tt.nexthop, err)
			}
			continue
		}
		if got := addrs(a.locate(t.Context(), &h)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.nexthop, got, tt.want)
		}
	}
}

// A zone with very many exchangers and addresses costs few questions (G2).
func TestManyExchangers(t *testing.T) {
	t.Parallel()
	var zone strings.Builder
	for i := range 100 {
		fmt.Fprintf(&zone, "many.test. MX 10 m%d.test.\n", i)
		for j := range 20 {
			fmt.Fprintf(&zone, "m%d.test. A 192.0.2.%d\n", i, j)
		}
	}
	srv := dnstest.Start(t, zone.String())
	a := newSetup(t, params(), srv.Resolver(), false)
	h, _ := parseHop("many.test", false, "smtp")
	where, f := a.locate(t.Context(), &h)
	if f != nil || len(where.peers) != 5 {
		t.Errorf("got %s, want 5 addresses", addrs(where, f))
	}
	if n := len(srv.Queries()); n > 2*maxExchangers+4 {
		t.Errorf("%d questions were asked", n)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	parse := func(text string) (peers []peer) {
		for i, s := range strings.Fields(text) {
			peers = append(peers, peer{addr: netip.MustParseAddr(s), pref: uint16(i)})
		}
		return peers
	}
	for _, tt := range []struct {
		in, want string
		limit    int
		balance  bool
	}{
		{"::1 ::2 ::3 192.0.2.1", "::1 ::2", 2, false},
		{"::1 ::2 ::3 192.0.2.1", "::1 192.0.2.1", 2, true},
		{"::1 ::2 ::3 ::4 ::5 ::6 192.0.2.1 192.0.2.2", "::1 ::2 ::3 192.0.2.1 192.0.2.2", 5, true},
		{"192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 ::1", "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 ::1", 5, true},
		{"192.0.2.1 192.0.2.2 192.0.2.3", "192.0.2.1 192.0.2.2", 2, true},
		{"::1 ::2 192.0.2.1", "::1 ::2 192.0.2.1", 0, true},
		{"::1 192.0.2.1", "::1", 1, true},
	} {
		p := params()
		p.MXAddressLimit, p.BalanceProtocols = tt.limit, tt.balance
		a := newSetup(t, p, nil, false)
		if got := addrs(located{peers: a.order(parse(tt.in), 25)}, nil); got != tt.want {
			t.Errorf("%s, limit %d, balance %v: got %s, want %s", tt.in, tt.limit, tt.balance, got, tt.want)
		}
	}
}

func TestParseHop(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		lmtp bool
		want string
	}{
		{"a.test", false, "a.test:25 mx"},
		{"a.test.", false, "a.test.:25 mx"},
		{"a.test:26", false, "a.test:26 mx"},
		{"a.test:submission", false, "a.test:587 mx"},
		{"a.test:", false, "a.test:25 mx"},
		{"[a.test]", false, "a.test:25"},
		{"[a.test]:lmtp", false, "a.test:24"},
		{"[192.0.2.1]:26", false, "192.0.2.1:26"},
		{"[ipv6:::1]:26", false, "::1:26"},
		{"[::1]", false, "::1:25"},
		{"::1", false, "::1:25"},
		{"192.0.2.1:26", false, "192.0.2.1:26"},
		{"inet:a.test:26", true, "a.test:26"},
		{"inet:[::1]", true, "::1:25"},
		{"a.test", true, "a.test:25"},
		{"unix:private/lmtp", true, "private/lmtp"},
		{"a.test b.test,[c.test]", false, "a.test:25 mx|b.test:25 mx|c.test:25"},
		{"a.test:0", false, "error"}, {"a.test:99999", false, "error"}, {"a.test:x y", false, "error"}, {"a.test:/etc/x", false, "error"},
		{"[a.test]x", false, "error"}, {"a..b", false, "error"}, {"[]", false, "error"}, {":25", false, "error"}, {" , ", false, "error"},
	} {
		hops, err := parseHops(tt.in, tt.lmtp, "smtp")
		var out []string
		for _, h := range hops {
			s := fmt.Sprintf("%s:%d", h.host, h.port)
			if h.path != "" {
				s = h.path
			}
			if h.lookup {
				s += " mx"
			}
			out = append(out, s)
		}
		got := strings.Join(out, "|")
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%s: got %s (%v), want %s", tt.in, got, err, tt.want)
		}
	}
}

func FuzzParseHops(f *testing.F) {
	for _, s := range []string{"a.test", "[::1]:26", "unix:x,y", "inet:a:lmtp", "a,b:1 [c]", "[ipv6:]"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, list string, lmtp bool) {
		hops, err := parseHops(list, lmtp, "smtp")
		if err == nil && len(hops) == 0 {
			t.Fatal("no destination and no error")
		}
		for _, h := range hops {
			ascii, ok := dns.ToASCII(strings.TrimSuffix(h.host, "."))
			if h.path == "" && (!ok || h.port == 0 || !isAddress(h.host) && !dns.ValidName(ascii)) {
				t.Fatalf("%q gives host %q, port %d", list, h.host, h.port)
			}
		}
	})
}
