package record

import (
	"strconv"
	"time"

	"posthaste/internal/mail"
)

func itoa(v int64) string { return strconv.FormatInt(v, 10) }

// Envelope writes everything that stands before the recipients, in the order
// in which Postfix's cleanup writes it. Filter and Redirect of the envelope
// are written here, MessageID is not: it belongs to the extracted segment.
func (f *Writer) Envelope(e *mail.Envelope) {
	o := &e.Origin
	f.Arrival(e.Arrival)
	if !e.Created.IsZero() {
		f.Attribute("create_time", itoa(e.Created.Unix()))
	}
	if e.ContentFilter != "" {
		f.Filter(e.ContentFilter)
	}
	f.Attribute("log_ident", o.LogIdent)
	f.Attribute("rewrite_context", rewriteContext(o.Remote))
	f.Attribute("sasl_method", o.SASLMethod)
	f.Attribute("sasl_username", o.SASLUsername)
	f.Attribute("sasl_sender", o.SASLSender)
	f.Attribute("envelope_id", e.EnvelopeID)
	if e.Return != 0 {
		f.Attribute("ret_flags", itoa(int64(e.Return)))
	}
	if e.FullName != "" {
		f.text(FullName, e.FullName)
	}
	f.text(Sender, string(e.Sender))
	f.Attribute("encoding", string(e.Encoding))
	if e.Trace != 0 {
		f.Attribute("trace_flags", itoa(int64(e.Trace)))
	}
	f.client(o)
	if e.VERP != "" {
		f.text(VERP, e.VERP)
	}
	if e.Redirect != "" {
		f.Redirect(e.Redirect)
	}
	if e.Sender != "" && !e.WarnAt.IsZero() {
		f.warn = string(appendPadded(nil, e.WarnAt.Unix()))
	}
	f.options = e.Options
}

// Submission writes what stands before the recipients in the stream from
// sendmail to postdrop, which adds the time.
func (f *Writer) Submission(e *mail.Envelope) {
	f.Attribute("envelope_id", e.EnvelopeID)
	if e.Return != 0 {
		f.Attribute("ret_flags", itoa(int64(e.Return)))
	}
	f.Attribute("rewrite_context", rewriteContext(e.Origin.Remote))
	f.text(FullName, e.FullName)
	f.text(Sender, string(e.Sender))
	f.Attribute("encoding", string(e.Encoding))
	if e.Trace != 0 {
		f.Attribute("trace_flags", itoa(int64(e.Trace)))
	}
	if e.VERP != "" {
		f.text(VERP, e.VERP)
	}
}

func rewriteContext(remote bool) string {
	if remote {
		return "remote"
	}
	return "local"
}

// client writes the attributes of the SMTP session, first as to be logged,
// then as it really was.
func (f *Writer) client(o *mail.Origin) {
	l := o.Logged
	if l.Name != "" || l.Address != "" {
		f.Attribute("log_client_name", l.Name)
		f.Attribute("log_client_address", l.Address)
		f.Attribute("log_client_port", l.Port)
		f.Attribute("log_message_origin", l.Name+"["+l.Address+"]")
		f.Attribute("log_helo_name", l.Helo)
		f.Attribute("log_protocol_name", l.Protocol)
	}
	c := o.Client
	if c.Name == "" && c.Address == "" {
		return
	}
	f.Attribute("client_name", c.Name)
	f.Attribute("reverse_client_name", c.ReverseName)
	f.Attribute("client_address", c.Address)
	f.Attribute("client_port", c.Port)
	f.Attribute("server_address", o.ServerAddress)
	f.Attribute("server_port", o.ServerPort)
	f.Attribute("helo_name", c.Helo)
	f.Attribute("protocol_name", c.Protocol)
	f.Attribute("client_address_type", addressType(c.Address))
}

// addressType is Linux's address family number: 2 for IPv4, 10 for IPv6.
func addressType(address string) string {
	for i := 0; i < len(address); i++ {
		if address[i] == ':' {
			return "10"
		}
	}
	return "2"
}

// setAttribute stores a named attribute of a file in the envelope. It reports
// whether the name is one it knows.
func setAttribute(e *mail.Envelope, name, value string) bool {
	o := &e.Origin
	if p := stringAttribute(e, name); p != nil {
		*p = value
		return true
	}
	n, err := strconv.ParseInt(value, 10, 64)
	switch name {
	case "create_time":
		if err == nil && n > 0 {
			e.Created = time.Unix(n, 0)
		}
	case "rewrite_context":
		o.Remote = value == "remote"
	case "ret_flags":
		if err == nil && (n == 1 || n == 2) {
			e.Return = mail.Return(n)
		}
	case "trace_flags":
		if err == nil {
			e.Trace = mail.Trace(n)
		}
	case "encoding":
		e.Encoding = mail.Encoding(value)
	case "log_message_origin", "client_address_type": // derived from the others
	default:
		return false
	}
	return true
}

// stringAttribute is the field that a plain text attribute is kept in.
func stringAttribute(e *mail.Envelope, name string) *string {
	o := &e.Origin
	switch name {
	case "envelope_id":
		return &e.EnvelopeID
	case "message_id":
		return &e.MessageID
	case "log_ident":
		return &o.LogIdent
	case "sasl_method":
		return &o.SASLMethod
	case "sasl_username":
		return &o.SASLUsername
	case "sasl_sender":
		return &o.SASLSender
	case "server_address":
		return &o.ServerAddress
	case "server_port":
		return &o.ServerPort
	}
	return clientAttribute(o, name)
}

func clientAttribute(o *mail.Origin, name string) *string {
	switch name {
	case "log_client_name":
		return &o.Logged.Name
	case "log_client_address":
		return &o.Logged.Address
	case "log_client_port":
		return &o.Logged.Port
	case "log_helo_name":
		return &o.Logged.Helo
	case "log_protocol_name":
		return &o.Logged.Protocol
	case "client_name":
		return &o.Client.Name
	case "reverse_client_name":
		return &o.Client.ReverseName
	case "client_address":
		return &o.Client.Address
	case "client_port":
		return &o.Client.Port
	case "helo_name":
		return &o.Client.Helo
	case "protocol_name":
		return &o.Client.Protocol
	}
	return nil
}
