package dns_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posthaste/internal/protocol/dns"
	"posthaste/internal/protocol/dns/dnstest"
)

func lookup(t *testing.T, r dns.Resolver, name string, typ dns.Type) (string, *dns.Error) {
	t.Helper()
	a, err := r.Lookup(t.Context(), name, typ, dns.Options{})
	if err != nil {
		var e *dns.Error
		if !errors.As(err, &e) {
			t.Fatalf("lookup of %s: error is %T, want *dns.Error", name, err)
		}
		return "", e
	}
	var out []string
	for _, rec := range a.Records {
		switch rec.Type {
		case dns.TypeMX:
			out = append(out, fmt.Sprintf("%d %s", rec.Pref, rec.Host))
		case dns.TypePTR:
			out = append(out, rec.Host)
		case dns.TypeTXT:
			out = append(out, rec.Text)
		default:
			out = append(out, rec.Addr.String())
		}
	}
	return strings.Join(out, ","), nil
}

const zone = `
	a.test.        A     192.0.2.1
	a.test.        A     192.0.2.2
	a.test.        AAAA  2001:db8::1
	mx.test.       MX    20 b.test.
	mx.test.       MX    10 a.test.
	alias.test.    CNAME a.test.
	loop1.test.    CNAME loop2.test.
	loop2.test.    CNAME loop1.test.
	null.test.     MX    0 .
	mixed.test.    MX    0 .
	mixed.test.    MX    5 a.test.
	numeric.test.  MX    5 192.0.2.9.
	badmx.test.    MX    5 bad\032name.test.
	badmx2.test.   MX    5 a\000b.test.
	badmx2.test.   MX    5 good.test.
	t.test.        TXT   "one " "two"
	1.2.0.192.in-addr.arpa. PTR host.test.
	2.2.0.192.in-addr.arpa. PTR $(id).test.
	$FAULT fail.test    ANY ServFail
	$FAULT refused.test ANY Refused
	$FAULT form.test    ANY FormErr
	$FAULT drop.test    ANY Drop
	$FAULT wrongid.test ANY WrongID
	$FAULT wrongq.test  ANY WrongQuestion
	$FAULT garbage.test ANY Garbage
	$FAULT trunc.test   ANY Truncate
	ttl0.test. 0   A     192.0.2.3
	down.test.     CNAME fail.test.
`

func TestLookup(t *testing.T) {
	t.Parallel()
	r := dnstest.Start(t, zone).Resolver()
	name := func(text string) string {
		return "Host or domain name not found. Name service error for name=" + text
	}
	tests := []struct {
		name string
		typ  dns.Type
		want string
		err  string
	}{
		{"a.test", dns.TypeA, "192.0.2.1,192.0.2.2", ""},
		{"A.Test.", dns.TypeAAAA, "2001:db8::1", ""},
		{"mx.test", dns.TypeMX, "20 b.test,10 a.test", ""},
		{"alias.test", dns.TypeA, "192.0.2.1,192.0.2.2", ""},
		{"alias.test", dns.TypeMX, "", name("alias.test type=MX: Host found but no data record of requested type")},
		{"loop1.test", dns.TypeA, "", name("loop1.test type=A: Host not found")},
		{"null.test", dns.TypeMX, "", "Domain null.test does not accept mail (nullMX)"},
		{"mixed.test", dns.TypeMX, "5 a.test", ""},
		{"numeric.test", dns.TypeMX, "5 192.0.2.9", ""},
		{"badmx.test", dns.TypeMX, "", "Name service error for name=badmx.test type=MX: Malformed or unexpected name server reply"},
		{"badmx2.test", dns.TypeMX, "5 good.test", ""},
		{"t.test", dns.TypeTXT, "one two", ""},
		{"1.2.0.192.in-addr.arpa", dns.TypePTR, "host.test", ""},
		{"2.2.0.192.in-addr.arpa", dns.TypePTR, "", "Name service error for name=2.2.0.192.in-addr.arpa type=PTR: Malformed or unexpected name server reply"},
		{"nx.test", dns.TypeA, "", name("nx.test type=A: Host not found")},
		{"fail.test", dns.TypeMX, "", name("fail.test type=MX: Host not found, try again")},
		{"refused.test", dns.TypeA, "", name("refused.test type=A: Host not found, try again")},
		{"form.test", dns.TypeA, "", name("form.test type=A: Non-recoverable error")},
		{"down.test", dns.TypeA, "", name("down.test type=A: Host not found, try again")},
		{"trunc.test", dns.TypeA, "", name("trunc.test type=A: Host not found, try again")},
		{"a..test", dns.TypeA, "", "Name service error for a..test: invalid host or domain name"},
		{"-a.test", dns.TypeA, "", "Name service error for -a.test: invalid host or domain name"},
		{"192.0.2.1", dns.TypeMX, "", "Name service error for 192.0.2.1: invalid host or domain name"},
	}
	for _, tt := range tests {
		got, err := lookup(t, r, tt.name, tt.typ)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != tt.want || text != tt.err {
			t.Errorf("lookup of %s %s: got %q, error %q; want %q, error %q", tt.name, tt.typ, got, text, tt.want, tt.err)
		}
	}
}

// Replies that are not ours are passed over until the time is up (G2).
func TestForgedReplies(t *testing.T) {
	t.Parallel()
	s := dnstest.Start(t, zone)
	c := s.Config()
	c.Timeout, c.Attempts = 50*time.Millisecond, 1
	for _, name := range []string{"drop.test", "wrongid.test", "wrongq.test", "garbage.test"} {
		_, err := lookup(t, dns.New(c), name, dns.TypeA)
		if err == nil || err.Kind != dns.Retry {
			t.Errorf("lookup of %s: error is %v, want a temporary one", name, err)
		}
	}
}

func TestTruncatedReplyComesByTCP(t *testing.T) {
	t.Parallel()
	var zone strings.Builder
	for i := range 150 {
		fmt.Fprintf(&zone, "big.test. A 192.0.2.%d\n", i)
	}
	got, err := lookup(t, dnstest.Start(t, zone.String()).Resolver(), "big.test", dns.TypeA)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(got, ",") + 1; n != 100 {
		t.Errorf("got %d records, want the limit of 100", n)
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	s := dnstest.Start(t, zone)
	r := s.Resolver()
	for range 3 {
		lookup(t, r, "a.test", dns.TypeA)
		lookup(t, r, "ttl0.test", dns.TypeA)
		lookup(t, r, "fail.test", dns.TypeA)
	}
	count := map[string]int{}
	for _, q := range s.Queries() {
		count[q]++
	}
	if count["a.test A"] != 1 {
		t.Errorf("asked %d times for a record with a TTL, want 1", count["a.test A"])
	}
	if count["ttl0.test A"] != 3 {
		t.Errorf("asked %d times for a record with TTL 0, want 3", count["ttl0.test A"])
	}
	if count["fail.test A"] != 6 { // two attempts each
		t.Errorf("asked %d times for a failing name, want 6", count["fail.test A"])
	}
}

func TestSecondServerAnswers(t *testing.T) {
	t.Parallel()
	bad := dnstest.Start(t, "$FAULT a.test ANY ServFail")
	good := dnstest.Start(t, zone)
	c := good.Config()
	c.Servers = []netip.AddrPort{bad.Addr(), good.Addr()}
	for range 2 {
		if _, err := lookup(t, dns.New(c), "a.test", dns.TypeA); err != nil {
			t.Errorf("lookup with one broken server of two: %v", err)
		}
		c.Rotate = true
	}
}

func TestSearchList(t *testing.T) {
	t.Parallel()
	s := dnstest.Start(t, "www.corp.test. A 192.0.2.7\nwww. A 192.0.2.8\na.b. A 192.0.2.9\n")
	c := s.Config()
	c.Search = []string{"none.test", "corp.test"}
	r := dns.New(c)
	for name, want := range map[string]string{"www": "192.0.2.7", "www.": "192.0.2.8", "a.b": "192.0.2.9"} {
		a, err := r.Lookup(t.Context(), name, dns.TypeA, dns.Options{Search: true})
		if err != nil || a.Records[0].Addr.String() != want {
			t.Errorf("search for %s: got %v, %v; want %s", name, a.Records, err, want)
		}
	}
	if a, err := r.Lookup(t.Context(), "www", dns.TypeA, dns.Options{}); err != nil || a.Records[0].Addr.String() != "192.0.2.8" {
		t.Errorf("without search: got %v, %v; want 192.0.2.8", a.Records, err)
	}
}

func TestParseConfig(t *testing.T) {
	t.Parallel()
	c, err := dns.ParseConfig(strings.NewReader("# x\nnameserver 192.0.2.1\nnameserver ::1\nnameserver junk\n" +
		"nameserver 192.0.2.3\nnameserver 192.0.2.4\nsearch a.test b.test. ..\noptions ndots:3 timeout:99 attempts:4 rotate use-vc trust-ad x\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := dns.Config{Search: []string{"a.test", "b.test"}, Ndots: 3, Timeout: 30 * time.Second, Attempts: 4,
		Rotate: true, UseTCP: true, TrustAD: true}
	for _, s := range []string{"192.0.2.1:53", "[::1]:53", "192.0.2.3:53"} {
		want.Servers = append(want.Servers, netip.MustParseAddrPort(s))
	}
	if fmt.Sprint(c) != fmt.Sprint(want) {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
	if c, err := dns.ReadConfig(filepath.Join(t.TempDir(), "none")); err != nil || c.Servers[0].String() != "127.0.0.1:53" {
		t.Errorf("missing file: got %v, %v; want the server on this machine", c, err)
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hosts")
	text := "127.0.0.1 localhost\n::1 localhost # both\n192.0.2.5\tMail.test mail\nnonsense x\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h := dns.NewHosts(path)
	for name, want := range map[string]string{"LOCALHOST": "[127.0.0.1 ::1]", "mail.test": "[192.0.2.5]", "x": "[]"} {
		if got := fmt.Sprint(h.Lookup(name)); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if got := dns.NewHosts(path + "x").Lookup("localhost"); got != nil {
		t.Errorf("missing file: got %v, want nothing", got)
	}
}

func TestToASCII(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"example.test": "example.test", "Bücher.example": "xn--bcher-kva.example",
		"münchen.de": "xn--mnchen-3ya.de", "例え.テスト": "xn--r8jz45g.xn--zckzah", "правда.рф": "xn--80aafi6cg.xn--p1ai",
		"faß.de": "xn--fa-hia.de", "a b.é": "", "\xff.test": "", "é!.test": "",
	} {
		got, ok := dns.ToASCII(in)
		if !ok {
			got = ""
		}
		if got != want {
			t.Errorf("ToASCII(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestReverseName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.1":   "1.2.0.192.in-addr.arpa",
		"2001:db8::1": "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	} {
		if got := dns.ReverseName(netip.MustParseAddr(in)); got != want {
			t.Errorf("ReverseName(%s) = %s, want %s", in, got, want)
		}
	}
}
