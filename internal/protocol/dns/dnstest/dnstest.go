// Package dnstest is a name server for tests: it answers from zone text on a
// loopback port, by UDP and TCP, and can be told to misbehave for some names.
// It is imported by tests and test tools only.
//
// Zone text is the usual master-file format. Besides, a line
//
//	$FAULT name type action
//
// makes the server misbehave for that question; type may be ANY, and action is
// one of Drop, ServFail, Refused, FormErr, Truncate, WrongID, WrongQuestion
// and Garbage, without regard to case.
package dnstest

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	mdns "posthaste/internal/protocol/dns"
)

// Server is a running name server.
type Server struct {
	addr netip.AddrPort
	udp  *dns.Server
	tcp  *dns.Server

	mu      sync.Mutex
	names   map[string][]dns.RR // by name, lower case
	faults  map[question]Fault
	queries []string // "name TYPE", in order of arrival
}

type question struct {
	name string
	t    uint16
}

// Start runs a server until the test ends.
func Start(t testing.TB, zone string) *Server {
	t.Helper()
	s, err := New("127.0.0.1:0", zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// New runs a server on the given address; port 0 chooses a free one. The error
// names the line of the zone that is wrong.
func New(listen, zone string) (*Server, error) {
	s := &Server{names: map[string][]dns.RR{}, faults: map[question]Fault{}}
	if err := s.Add(zone); err != nil {
		return nil, err
	}
	packets, stream, err := listenBoth(listen)
	if err != nil {
		return nil, err
	}
	s.addr = netip.MustParseAddrPort(packets.LocalAddr().String())
	s.udp = &dns.Server{PacketConn: packets, Handler: s}
	s.tcp = &dns.Server{Listener: stream, Handler: s}
	var up sync.WaitGroup
	up.Add(2)
	s.udp.NotifyStartedFunc = up.Done
	s.tcp.NotifyStartedFunc = up.Done
	go s.udp.ActivateAndServe()
	go s.tcp.ActivateAndServe()
	up.Wait()
	return s, nil
}

// listenBoth opens the same port for UDP and TCP; a free UDP port may be taken
// for TCP, so it tries a few.
func listenBoth(listen string) (packets net.PacketConn, stream net.Listener, err error) {
	for range 20 {
		if packets, err = net.ListenPacket("udp", listen); err != nil {
			return nil, nil, err
		}
		if stream, err = net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			return packets, stream, nil
		}
		packets.Close()
	}
	return nil, nil, err
}

// Close stops the server.
func (s *Server) Close() {
	s.udp.Shutdown()
	s.tcp.Shutdown()
}

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Config makes a client ask this server only, and not wait for long.
func (s *Server) Config() mdns.Config {
	return mdns.Config{Servers: []netip.AddrPort{s.addr}, Timeout: 300 * time.Millisecond, Attempts: 2}
}

// Resolver is a client of this server.
func (s *Server) Resolver() *mdns.Client { return mdns.New(s.Config()) }

// Add reads more zone text.
func (s *Server) Add(zone string) error {
	var text strings.Builder
	lines := bufio.NewScanner(strings.NewReader(zone))
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || words[0] != "$FAULT" {
			// Zones in tests are often indented; in a zone file that would
			// mean "the name as before".
			text.WriteString(strings.TrimSpace(lines.Text()) + "\n")
			continue
		}
		text.WriteString("\n")
		if err := s.addFault(words[1:]); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	parser := dns.NewZoneParser(strings.NewReader(text.String()), ".", "zone")
	parser.SetDefaultTTL(60)
	s.mu.Lock()
	defer s.mu.Unlock()
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		name := strings.ToLower(rr.Header().Name)
		s.names[name] = append(s.names[name], rr)
	}
	return parser.Err()
}

func (s *Server) addFault(words []string) error {
	if len(words) != 3 {
		return fmt.Errorf("want $FAULT name type action")
	}
	t, ok := dns.StringToType[strings.ToUpper(words[1])]
	if !ok {
		return fmt.Errorf("unknown type %s", words[1])
	}
	fault, ok := faultNames[strings.ToLower(words[2])]
	if !ok {
		return fmt.Errorf("unknown fault %s", words[2])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[question{strings.ToLower(dns.Fqdn(words[0])), t}] = fault
	return nil
}

// Queries lists the questions that came in, as "name TYPE", without final dot.
func (s *Server) Queries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.queries...)
}
