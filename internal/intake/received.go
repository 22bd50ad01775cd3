package intake

import (
	"time"

	"posthaste/internal/config"
	"posthaste/internal/mail"
)

// received appends the header that says how the message came here (RFC 5321
// section 4.4). Its lines are joined by line breaks.
func (m *Message) received(b []byte) []byte {
	c := &m.door.params.Common
	o := &m.envelope.Origin
	// A message that an alias forwards, or that its administrator sends round
	// again (postsuper -r), has a client but did not come from it this time.
	if m.door.options.Forwarded || m.door.options.UserID != "" || o.Client.Name == "" && o.Client.Address == "" {
		b = append(b, "Received: by "...)
		b = append(append(append(b, c.MyHostname...), " ("...), c.MailName...)
		if m.door.options.UserID != "" {
			b = append(append(b, ", from userid "...), m.door.options.UserID...)
		}
		b = append(append(b, ")\n\tid "...), m.ID()...)
		return appendDate(append(b, "; "...), m.envelope.Arrival)
	}
	only := mail.Address("")
	if m.given == 1 {
		only = m.shown
	}
	return AppendReceived(b, c, &m.envelope, m.ID(), only, m.door.options.Trace)
}

// AppendReceived appends the Received header of a message from an SMTP client,
// as far as the envelope tells of it. only is the one recipient of the message,
// empty when there are several; trace is as in Options.
func AppendReceived(b []byte, c *config.Common, e *mail.Envelope, id mail.QueueID, only mail.Address, trace []string) []byte {
	client := &e.Origin.Client
	helo := client.Helo
	if helo == "" {
		helo = client.Name
	}
	b = append(append(b, "Received: from "...), helo...)
	b = append(append(b, " ("...), client.Name...)
	b = append(append(b, " ["...), literal(client.Address)...)
	b = append(b, "])"...)
	for _, line := range trace {
		b = append(append(b, "\n\t"...), line...)
	}
	b = append(append(b, "\n\tby "...), c.MyHostname...)
	b = append(append(append(b, " ("...), c.MailName...), ") with "...)
	b = append(append(append(b, withProtocol(e)...), " id "...), id...)
	if only != "" {
		b = append(append(b, "\n\tfor <"...), only.Quoted()...)
		b = append(b, ">; "...)
	} else {
		b = append(b, ";\n\t"...)
	}
	return appendDate(b, e.Arrival)
}

// withProtocol is the protocol of the session as RFC 6531 section 4.3 names it
// when the client asked for SMTPUTF8.
func withProtocol(e *mail.Envelope) string {
	if p := e.Origin.Client.Protocol; p != "ESMTP" || e.Options&mail.OptionSMTPUTF8 == 0 {
		return p
	}
	return "UTF8SMTP"
}

// literal is an address as it stands in an address literal, less the brackets.
func literal(a string) string {
	for i := 0; i < len(a); i++ {
		if a[i] == ':' {
			return "IPv6:" + a
		}
	}
	return a
}

// appendDate appends the date in the form of RFC 5322 section 3.3.
func appendDate(b []byte, t time.Time) []byte {
	return t.AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 -0700 (MST)")
}
