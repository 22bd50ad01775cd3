package smtp

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"posthaste/internal/protocol/smtp"
)

// features are what a server offers.
type features uint32

// The features this client uses.
const (
	offersESMTP features = 1 << iota
	offersPipelining
	offers8BitMIME
	offersSize
	offersDSN
	offersUTF8
	offersXForwardName
	offersXForwardAddr
	offersXForwardPort
	offersXForwardProto
	offersXForwardHelo
	offersXForwardIdent
	offersXForwardSource
)

const offersXForward = offersXForwardName | offersXForwardAddr | offersXForwardPort | offersXForwardProto |
	offersXForwardHelo | offersXForwardIdent | offersXForwardSource

var keywords = map[string]features{
	"PIPELINING": offersPipelining,
	"8BITMIME":   offers8BitMIME,
	"SIZE":       offersSize,
	"DSN":        offersDSN,
	"SMTPUTF8":   offersUTF8,
	"XFORWARD":   offersXForward,
}

var xforwardKeywords = map[string]features{
	"NAME": offersXForwardName, "ADDR": offersXForwardAddr, "PORT": offersXForwardPort, "PROTO": offersXForwardProto,
	"HELO": offersXForwardHelo, "IDENT": offersXForwardIdent, "SOURCE": offersXForwardSource,
}

// discardMask is the features named in a list of EHLO keywords.
func discardMask(words []string) (mask features) {
	for _, word := range words {
		mask |= keywords[strings.ToUpper(word)]
	}
	return mask
}

// hello goes through the greeting and EHLO, LHLO or HELO. loops tells whether
// a server that calls itself by our name means a mail loop.
func (s *session) hello(ctx context.Context, nexthop string, loops bool) *failure {
	limit := s.agent.params.HeloTimeout
	greeting, err := s.reply(limit, nil)
	if err != nil {
		return s.lost(err, "receiving the initial server greeting")
	}
	if greeting.Class() != 2 {
		if greeting.Class() == 5 && s.agent.params.Skip5xxGreeting {
			greeting.Enhanced = "4" + greeting.Enhanced[1:]
		}
		return s.refusedSession(greeting)
	}
	words := strings.Fields(greeting.Line()[3:])
	if loops && len(words) > 0 && strings.EqualFold(strings.TrimPrefix(words[0], "-"), s.agent.params.Common.MyHostname) {
		s.agent.deps.Log.Warning("host %s greeted me with my own hostname %s", s.peer.relay(), s.agent.params.Common.MyHostname)
	}
	s.offers = greets(&s.agent.params, s.agent.lmtp, words)
	e := ehlo{session: s, ctx: ctx}
	if f := e.run(); f != nil {
		return f
	}
	if loops && e.ourName {
		s.agent.deps.Log.Warning("host %s replied to HELO/EHLO with my own hostname %s", s.peer.relay(), s.agent.params.Common.MyHostname)
		code := "4.4.6"
		if s.peer.best {
			code = "5.4.6"
		}
		f := local(code, "mail for %s loops back to myself", nexthop)
		f.site = true
		return f
	}
	return nil
}

// greets decides whether to say EHLO.
func greets(p *Params, lmtp bool, words []string) features {
	esmtp := p.AlwaysEHLO
	for _, word := range words {
		esmtp = esmtp || strings.EqualFold(word, "ESMTP")
	}
	if lmtp || esmtp && !p.NeverEHLO {
		return offersESMTP
	}
	return 0
}

// ehlo is one EHLO, LHLO or HELO exchange.
type ehlo struct {
	*session
	ctx     context.Context
	offered features
	lines   int
	ourName bool
}

func (e *ehlo) run() *failure {
	if e.offers&offersESMTP != 0 {
		verb := "EHLO"
		if e.agent.lmtp {
			verb = "LHLO"
		}
		r, f := e.exchange(verb)
		switch {
		case f != nil:
			return f
		case r.Class() == 2:
			return e.accept()
		case e.agent.lmtp || r.Code == 421:
			return e.refusedSession(r)
		}
		e.offers = 0 // RFC 5321 section 3.2: a server without EHLO
	}
	r, f := e.exchange("HELO")
	switch {
	case f != nil:
		return f
	case r.Class() != 2:
		return e.refusedSession(r)
	}
	e.offered = 0
	return nil
}

func (e *ehlo) exchange(verb string) (*smtp.ServerReply, *failure) {
	e.lines, e.offered, e.ourName = 0, 0, false
	r, err := e.command(verb+" "+e.agent.params.HeloName, e.agent.params.HeloTimeout, e.line)
	if err != nil {
		return nil, e.lost(err, fmt.Sprintf("performing the %s handshake", verb))
	}
	return r, nil
}

// line reads one line of the reply (RFC 5321 section 4.1.1.1).
func (e *ehlo) line(line []byte) {
	e.lines++
	words := bytes.Fields(line[min(4, len(line)):])
	if len(words) == 0 {
		return
	}
	if e.lines == 1 {
		e.ourName = strings.EqualFold(string(words[0]), e.agent.params.Common.MyHostname)
		return
	}
	word := strings.ToUpper(string(words[0]))
	switch word {
	case "SIZE":
		e.size(words[1:])
	case "XFORWARD":
		for _, attribute := range words[1:] {
			e.offered |= xforwardKeywords[strings.ToUpper(string(attribute))]
		}
	default:
		e.offered |= keywords[word]
	}
}

func (e *ehlo) size(args [][]byte) {
	e.offered |= offersSize
	e.sizeLimit = 0
	if len(args) == 0 {
		return
	}
	n, err := strconv.ParseInt(string(args[0]), 10, 64)
	if err != nil || n < 0 {
		e.agent.deps.Log.Warning("bad EHLO SIZE limit %q from %s", args[0], e.peer.relay())
		return
	}
	e.sizeLimit = n
}

// accept takes over what the server offers, less what is to be ignored.
func (e *ehlo) accept() *failure {
	discard := e.agent.settings.discard
	if e.agent.discardBy != nil && e.peer.path == "" {
		words, found, err := e.agent.discardBy.Lookup(e.ctx, e.peer.addr.String())
		if err != nil {
			e.agent.deps.Log.Warning("%s", err)
			return siteFailure("4.3.0", "Temporary lookup error")
		}
		if found {
			discard = discardMask(strings.FieldsFunc(words, func(r rune) bool { return strings.ContainsRune(", \t", r) }))
		}
	}
	e.offers |= e.offered &^ discard
	if e.offers&offersSize == 0 {
		e.sizeLimit = 0
	}
	return nil
}
