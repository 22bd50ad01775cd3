package dns

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// FuzzReply feeds bytes as a name server would; whatever is taken from them
// must be a valid host name, a numeric address or text.
func FuzzReply(f *testing.F) {
	query := new(dns.Msg)
	query.SetQuestion("a.test.", dns.TypeMX)
	query.Id = 7
	for _, zone := range []string{"a.test. MX 5 b.test.", "a.test. CNAME b.test.", "a.test. MX 0 .", `a.test. MX 1 a\000b.`} {
		rr, err := dns.NewRR(zone)
		if err != nil {
			f.Fatal(err)
		}
		reply := new(dns.Msg)
		reply.SetReply(query)
		reply.Answer = append(reply.Answer, rr)
		wire, err := reply.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		reply, err := decode(wire, query)
		if err != nil {
			return
		}
		for _, typ := range []Type{TypeA, TypeAAAA, TypeMX, TypePTR, TypeTXT, TypeCNAME} {
			x := extract(reply, "a.test", typ)
			for _, r := range x.records {
				if strings.ContainsAny(r.Host, "\x00\r\n/ ") || strings.Contains(r.Host, "..") {
					t.Errorf("host %q from a reply", r.Host)
				}
			}
		}
	})
}
