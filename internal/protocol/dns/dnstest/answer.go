package dnstest

import (
	"strings"

	"github.com/miekg/dns"
)

// Fault is a way to misbehave.
type Fault uint8

// The faults.
const (
	None          Fault = iota
	Drop                // no reply at all
	ServFail            // SERVFAIL
	Refused             // REFUSED
	FormErr             // FORMERR
	Truncate            // TC over UDP; the connection is closed over TCP
	WrongID             // a reply with another id
	WrongQuestion       // a reply to another question
	Garbage             // bytes that are no DNS message
)

var faultNames = map[string]Fault{
	"drop": Drop, "servfail": ServFail, "refused": Refused, "formerr": FormErr,
	"truncate": Truncate, "wrongid": WrongID, "wrongquestion": WrongQuestion, "garbage": Garbage,
}

// ServeDNS implements the library's handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	reply := new(dns.Msg)
	reply.SetReply(query)
	reply.RecursionAvailable = true
	if len(query.Question) != 1 {
		reply.Rcode = dns.RcodeFormatError
		w.WriteMsg(reply)
		return
	}
	q := query.Question[0]
	name := strings.ToLower(q.Name)
	s.mu.Lock()
	s.queries = append(s.queries, strings.TrimSuffix(q.Name, ".")+" "+dns.TypeToString[q.Qtype])
	fault := s.faults[question{name, q.Qtype}]
	if fault == None {
		fault = s.faults[question{name, dns.TypeANY}]
	}
	s.answer(reply, name, q.Qtype)
	s.mu.Unlock()
	s.send(w, reply, fault)
}

// answer fills in the records, following aliases inside the zone as a
// recursive server does. s.mu is held.
func (s *Server) answer(reply *dns.Msg, name string, t uint16) {
	for range 20 {
		records, known := s.names[name]
		if !known {
			if len(reply.Answer) == 0 {
				reply.Rcode = dns.RcodeNameError
			}
			return
		}
		next := ""
		for _, rr := range records {
			if rr.Header().Rrtype == t || t == dns.TypeANY {
				reply.Answer = append(reply.Answer, rr)
			} else if c, ok := rr.(*dns.CNAME); ok {
				reply.Answer = append(reply.Answer, rr)
				next = strings.ToLower(c.Target)
			}
		}
		if next == "" {
			return
		}
		name = next
	}
}

func (s *Server) send(w dns.ResponseWriter, reply *dns.Msg, fault Fault) {
	udp := w.LocalAddr().Network() == "udp"
	switch fault {
	case Drop:
		return
	case ServFail:
		reply.Answer, reply.Rcode = nil, dns.RcodeServerFailure
	case Refused:
		reply.Answer, reply.Rcode = nil, dns.RcodeRefused
	case FormErr:
		reply.Answer, reply.Rcode = nil, dns.RcodeFormatError
	case Truncate:
		if !udp {
			w.Close()
			return
		}
		reply.Answer, reply.Truncated = nil, true
	case WrongID:
		reply.Id++
	case WrongQuestion:
		reply.Question[0].Name = "other.test."
	case Garbage:
		w.Write([]byte("\x00garbage"))
		return
	}
	if udp {
		reply.Truncate(dns.MinMsgSize)
	}
	w.WriteMsg(reply)
}
