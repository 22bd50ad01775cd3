// Package dns looks names up: MX, address, PTR and TXT records from the name
// servers of resolv.conf, and the hosts file. It wraps miekg/dns behind the
// one-method interface Resolver, so that nothing else depends on that library.
//
// It opens network sockets to the name servers and reads the two files; it
// knows no main.cf parameter and logs nothing.
package dns

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Type is a DNS record type.
type Type uint16

// The types this package decodes.
const (
	TypeA     = Type(dns.TypeA)
	TypeCNAME = Type(dns.TypeCNAME)
	TypePTR   = Type(dns.TypePTR)
	TypeMX    = Type(dns.TypeMX)
	TypeTXT   = Type(dns.TypeTXT)
	TypeAAAA  = Type(dns.TypeAAAA)
)

// String is the type's name as it stands in zone files.
func (t Type) String() string {
	if s, ok := dns.TypeToString[uint16(t)]; ok {
		return s
	}
	return fmt.Sprintf("TYPE%d", uint16(t))
}

// Record is one record of an answer. Which of the last four fields is set
// depends on Type.
type Record struct {
	Type Type
	TTL  time.Duration
	Pref uint16     // MX
	Host string     // MX, PTR: a valid host name or (MX) numeric address, without final dot
	Addr netip.Addr // A, AAAA
	Text string     // TXT: all strings joined
}

// Answer is what a lookup found: at least one record.
type Answer struct {
	Name      string // owner of the records, at the end of the CNAME chain
	Records   []Record
	Authentic bool // validated by a name server that may be trusted about it
}

// Options vary a single lookup.
type Options struct {
	Search bool // try the search list for names with few dots (RES_DNSRCH)
	DNSSEC bool // ask the name server to validate
}

// Resolver looks records up. It is safe for concurrent use. A failed lookup,
// also one that finds nothing, returns an *Error.
type Resolver interface {
	Lookup(ctx context.Context, name string, t Type, o Options) (Answer, error)
}

// Kind is the class of a failed lookup.
type Kind uint8

// The classes. Only Retry is temporary.
const (
	Retry    Kind = iota // time-out, SERVFAIL, no usable reply
	NotFound             // the name does not exist
	NoData               // the name exists without a record of this type
	Invalid              // the name, or all data in the answer, is malformed
	Fail                 // the name server could not understand the question
	NullMX               // RFC 7505: the domain accepts no mail
)

// Error is a failed lookup. Its text is Postfix's, which log analysers read.
type Error struct {
	Kind Kind
	Name string
	Type Type
	Err  error // cause, when there is one
}

// Error makes *Error an error.
func (e *Error) Error() string {
	what := map[Kind]string{
		Retry:    "Host not found, try again",
		NotFound: "Host not found",
		NoData:   "Host found but no data record of requested type",
		Fail:     "Non-recoverable error",
	}[e.Kind]
	switch {
	case e.Kind == NullMX:
		return fmt.Sprintf("Domain %s does not accept mail (nullMX)", e.Name)
	case e.Kind == Invalid && e.Type == 0:
		return fmt.Sprintf("Name service error for %s: invalid host or domain name", e.Name)
	case e.Kind == Invalid:
		return fmt.Sprintf("Name service error for name=%s type=%s: Malformed or unexpected name server reply", e.Name, e.Type)
	}
	return fmt.Sprintf("Host or domain name not found. Name service error for name=%s type=%s: %s", e.Name, e.Type, what)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Missing tells whether the lookup worked and there is no such record.
func (e *Error) Missing() bool {
	return e.Kind == NotFound || e.Kind == NoData || e.Kind == Invalid && e.Type == 0
}

// Temporary tells whether a later lookup may find something.
func (e *Error) Temporary() bool { return e.Kind == Retry }
