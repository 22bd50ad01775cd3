package intake

import (
	"time"

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
	helo := o.Client.Helo
	if helo == "" {
		helo = o.Client.Name
	}
	b = append(append(b, "Received: from "...), helo...)
	b = append(append(b, " ("...), o.Client.Name...)
	b = append(append(b, " ["...), literal(o.Client.Address)...)
	b = append(b, "])"...)
	for _, line := range m.door.options.Trace {
		b = append(append(b, "\n\t"...), line...)
	}
	b = append(append(b, "\n\tby "...), c.MyHostname...)
	b = append(append(append(b, " ("...), c.MailName...), ") with "...)
	b = append(append(append(b, m.withProtocol()...), " id "...), m.ID()...)
	if m.given == 1 {
		b = append(append(b, "\n\tfor <"...), m.shown.Quoted()...)
		b = append(b, ">; "...)
	} else {
		b = append(b, ";\n\t"...)
	}
	return appendDate(b, m.envelope.Arrival)
}

// withProtocol is the protocol of the session as RFC 6531 section 4.3 names it
// when the client asked for SMTPUTF8.
func (m *Message) withProtocol() string {
	if p := m.envelope.Origin.Client.Protocol; p != "ESMTP" || m.envelope.Options&mail.OptionSMTPUTF8 == 0 {
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
