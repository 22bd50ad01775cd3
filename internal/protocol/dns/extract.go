package dns

import (
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// extracted is what one reply says about a name.
type extracted struct {
	owner   string // the name itself, or the last alias that it leads to
	records []Record
	ttl     time.Duration // the shortest of all that was used
	nullMX  bool
	loop    bool // the aliases go in a circle
	bad     bool // records were dropped because their data is malformed
}

// extract follows the aliases in a reply, and collects the records of the
// type that stand at the end of the chain. Records of other names do not count:
// a server may put anything into an answer.
func extract(reply *dns.Msg, name string, t Type) extracted {
	x := extracted{owner: name, ttl: maxTTL}
	if t != TypeCNAME {
		x.follow(reply)
	}
	for _, rr := range reply.Answer {
		h := rr.Header()
		if h.Class != dns.ClassINET || Type(h.Rrtype) != t || !sameName(h.Name, x.owner) {
			continue
		}
		if mx, ok := rr.(*dns.MX); ok && mx.Mx == "." {
			x.nullMX = true // RFC 7505 section 3
			x.lower(h.Ttl)
			continue
		}
		r, ok := record(rr)
		if !ok {
			x.bad = true
			continue
		}
		x.lower(h.Ttl)
		if len(x.records) < maxRecords {
			x.records = append(x.records, r)
		}
	}
	if len(x.records) > 0 {
		x.nullMX = false // a null MX beside others is a mistake: use the others
	}
	return x
}

func (x *extracted) follow(reply *dns.Msg) {
	for range maxAliases {
		target := ""
		for _, rr := range reply.Answer {
			if c, ok := rr.(*dns.CNAME); ok && c.Hdr.Class == dns.ClassINET && sameName(c.Hdr.Name, x.owner) {
				target = strings.TrimSuffix(c.Target, ".")
				x.lower(c.Hdr.Ttl)
				break
			}
		}
		if target == "" {
			return
		}
		x.owner = target
	}
	x.loop = true
}

func (x *extracted) lower(seconds uint32) {
	x.ttl = min(x.ttl, time.Duration(seconds)*time.Second)
}

func sameName(wire, name string) bool {
	return strings.EqualFold(strings.TrimSuffix(wire, "."), name)
}

// record decodes the data; ok is false when it is not fit for use.
func record(rr dns.RR) (r Record, ok bool) {
	h := rr.Header()
	r = Record{Type: Type(h.Rrtype), TTL: time.Duration(h.Ttl) * time.Second}
	switch rr := rr.(type) {
	case *dns.A:
		r.Addr, ok = netip.AddrFromSlice(rr.A.To4())
	case *dns.AAAA:
		r.Addr, ok = netip.AddrFromSlice(rr.AAAA.To16())
	case *dns.MX:
		r.Pref = rr.Preference
		r.Host, ok = hostOf(rr.Mx, true)
	case *dns.PTR:
		r.Host, ok = hostOf(rr.Ptr, false)
	case *dns.CNAME:
		r.Host, ok = hostOf(rr.Target, false)
	case *dns.TXT:
		r.Text, ok = strings.Join(rr.Txt, ""), true
	}
	return r, ok
}

// negativeTTL is how long "there is none" holds (RFC 2308 section 5).
func negativeTTL(reply *dns.Msg) time.Duration {
	for _, rr := range reply.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(time.Duration(min(soa.Hdr.Ttl, soa.Minttl))*time.Second, maxNegativeTTL)
		}
	}
	return 0
}
