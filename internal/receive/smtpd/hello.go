package smtpd

import (
	"strconv"
	"strings"

	"posthaste/internal/protocol/smtp"
)

// keywords is a set of EHLO keywords.
type keywords uint16

const (
	kwPipelining keywords = 1 << iota
	kwSize
	kwVRFY
	kwETRN
	kwEnhanced
	kw8BitMIME
	kwDSN
	kwSMTPUTF8
	kwChunking
	kwVERP
	kwSilent // silent-discard: no log line
)

var keywordNames = map[string]keywords{
	"PIPELINING": kwPipelining, "SIZE": kwSize, "VRFY": kwVRFY, "ETRN": kwETRN,
	"ENHANCEDSTATUSCODES": kwEnhanced, "8BITMIME": kw8BitMIME, "DSN": kwDSN,
	"SMTPUTF8": kwSMTPUTF8, "CHUNKING": kwChunking, "XVERP": kwVERP, "SILENT-DISCARD": kwSilent,
}

// discarded are the keywords this client is not to see. A table that cannot be
// read hides all: a keyword may be hidden because it is harmful.
func (s *session) discarded() keywords {
	words := s.srv.p.DiscardKeywords
	if !s.srv.keywords.Empty() {
		value, found, err := s.srv.keywords.Lookup(s.ctx, s.client.Address)
		if err != nil {
			s.srv.deps.Log.Warning("don't know what EHLO features to announce to %s", s.named)
			return ^keywords(0)
		}
		if found {
			words = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
		}
	}
	var off keywords
	var names []string
	for _, w := range words {
		k := keywordNames[strings.ToUpper(w)]
		off |= k
		if k != 0 && k != kwSilent {
			names = append(names, strings.ToUpper(w))
		}
	}
	if len(names) > 0 && off&kwSilent == 0 {
		s.srv.deps.Log.Info("discarding EHLO keywords: %s", strings.Join(names, " "))
	}
	if !s.srv.p.Common.SMTPUTF8Enable {
		off |= kwSMTPUTF8
	}
	return off
}

func (s *session) cmdHELO(args string) smtp.Reply {
	if args == "" {
		return smtp.Reply{Code: 501, Text: "Syntax: HELO hostname"}
	}
	if r := s.hello(args, false); r != nil {
		return *r
	}
	return smtp.Reply{Code: 250, Text: s.myname()}
}

func (s *session) cmdEHLO(args string) smtp.Reply {
	if args == "" {
		return smtp.Reply{Code: 501, Text: "Syntax: EHLO hostname"}
	}
	if r := s.hello(args, true); r != nil {
		return *r
	}
	offer := []string{s.myname()}
	add := func(k keywords, text string) {
		if s.off&k == 0 {
			offer = append(offer, text)
		}
	}
	add(kwPipelining, "PIPELINING")
	if limit := s.srv.p.Common.MessageSizeLimit; limit > 0 {
		add(kwSize, "SIZE "+strconv.FormatInt(limit, 10))
	} else {
		add(kwSize, "SIZE")
	}
	if !s.srv.p.DisableVRFY {
		add(kwVRFY, "VRFY")
	}
	add(kwETRN, "ETRN")
	if s.verp {
		add(kwVERP, "XVERP")
	}
	add(kwEnhanced, "ENHANCEDSTATUSCODES")
	add(kw8BitMIME, "8BITMIME")
	add(kwDSN, "DSN")
	add(kwSMTPUTF8, "SMTPUTF8")
	add(kwChunking, "CHUNKING")
	from := len(s.link.out)
	s.link.out = smtp.AppendMultiline(s.link.out, 250, offer)
	s.remember("Out: ", s.link.out[from:])
	return smtp.Reply{}
}

// hello takes the client's name. It ends a transaction (RFC 5321 section
// 4.1.4).
func (s *session) hello(args string, esmtp bool) *smtp.Reply {
	name, _, _ := strings.Cut(args, " ")
	if !esmtp {
		name = strings.TrimSpace(args)
	}
	s.endTransaction()
	q := s.request(s.where)
	q.Helo = name
	if r := s.srv.check.HeloCommand(s.ctx, q); r != nil {
		return r
	}
	s.closeHistory(s.srv.p.HistoryThreshold)
	s.helo, s.esmtp = name, esmtp
	s.client.Helo, s.client.Protocol = name, "SMTP"
	if esmtp {
		s.client.Protocol = "ESMTP"
	}
	return nil
}
