package ipc

import (
	"time"

	"posthaste/internal/mail"
)

// The words of package mail as they travel between our own processes. Both
// ends are the same binary, so that there are no versions.

// Envelope writes an envelope.
func (e *Encoder) Envelope(v *mail.Envelope) {
	e.String(string(v.Sender))
	e.String(v.FullName)
	e.String(v.EnvelopeID)
	e.Uint(uint64(v.Return))
	e.String(string(v.Encoding))
	e.Uint(uint64(v.Options))
	e.String(v.VERP)
	e.String(v.ContentFilter)
	e.String(string(v.Redirect))
	e.Uint(uint64(v.Trace))
	e.String(v.MessageID)
	e.Time(v.Arrival)
	e.Time(v.Created)
	e.Time(v.WarnAt)
	e.Bool(v.Warned)
	o := &v.Origin
	e.client(&o.Client)
	e.client(&o.Logged)
	for _, s := range originTexts(o) {
		e.String(*s)
	}
	e.Bool(o.Remote)
}

// Envelope reads an envelope.
func (d *Decoder) Envelope() mail.Envelope {
	var v mail.Envelope
	v.Sender = mail.Address(d.String())
	v.FullName = d.String()
	v.EnvelopeID = d.String()
	v.Return = mail.Return(d.small(0xff))
	v.Encoding = mail.Encoding(d.String())
	v.Options = mail.Options(d.small(0xffff))
	v.VERP = d.String()
	v.ContentFilter = d.String()
	v.Redirect = mail.Address(d.String())
	v.Trace = mail.Trace(d.small(0xffff))
	v.MessageID = d.String()
	v.Arrival = d.Time()
	v.Created = d.Time()
	v.WarnAt = d.Time()
	v.Warned = d.Bool()
	o := &v.Origin
	d.client(&o.Client)
	d.client(&o.Logged)
	for _, s := range originTexts(o) {
		*s = d.String()
	}
	o.Remote = d.Bool()
	return v
}

// small reads a number up to most.
func (d *Decoder) small(most uint64) uint64 {
	v := d.Uint()
	if v > most {
		d.fail("number out of range")
		return 0
	}
	return v
}

// originTexts are the plain texts of an origin, in the order they travel.
func originTexts(o *mail.Origin) []*string {
	return []*string{&o.LogIdent, &o.ServerAddress, &o.ServerPort, &o.SASLMethod, &o.SASLUsername, &o.SASLSender, &o.UserID}
}

// clientTexts are the parts of a client, in the order they travel.
func clientTexts(c *mail.Client) []*string {
	return []*string{&c.Name, &c.ReverseName, &c.Address, &c.Port, &c.Helo, &c.Protocol}
}

func (e *Encoder) client(c *mail.Client) {
	for _, s := range clientTexts(c) {
		e.String(*s)
	}
}

func (d *Decoder) client(c *mail.Client) {
	for _, s := range clientTexts(c) {
		*s = d.String()
	}
}

// Recipient writes a recipient.
func (e *Encoder) Recipient(r mail.Recipient) {
	e.String(string(r.Address))
	e.String(string(r.Original))
	e.String(r.DSNOriginal)
	e.Uint(uint64(r.Notify))
}

// Recipient reads a recipient.
func (d *Decoder) Recipient() mail.Recipient {
	return mail.Recipient{
		Address:     mail.Address(d.String()),
		Original:    mail.Address(d.String()),
		DSNOriginal: d.String(),
		Notify:      mail.Notify(d.small(0xff)),
	}
}

// Status writes a delivery result.
func (e *Encoder) Status(v mail.Status) {
	e.Uint(uint64(v.Action))
	for _, s := range statusTexts(&v) {
		e.String(*s)
	}
	e.Uint(uint64(max(v.ConnUse, 0)))
	e.Int(int64(v.Setup))
	e.Int(int64(v.Transmit))
	e.Uint(uint64(len(v.Parts)))
	for i := range v.Parts {
		p := v.Parts[i]
		p.Status.Parts = nil
		e.Recipient(p.Recipient)
		e.String(p.Service)
		e.Bool(p.Unlogged)
		e.Status(p.Status)
	}
}

// Status reads a delivery result.
func (d *Decoder) Status() mail.Status { return d.status(true) }

// status reads a result; only the outer one has parts.
func (d *Decoder) status(outer bool) mail.Status {
	v := mail.Status{Action: mail.Action(d.small(uint64(mail.Passed)))}
	for _, s := range statusTexts(&v) {
		*s = d.String()
	}
	v.ConnUse = int(d.small(1 << 30))
	v.Setup = time.Duration(d.Int())
	v.Transmit = time.Duration(d.Int())
	n := d.Count()
	if n > 0 && !outer {
		d.Fail("parts in parts")
	}
	for range n {
		if d.Err() != nil {
			break
		}
		v.Parts = append(v.Parts, mail.Part{Recipient: d.Recipient(), Service: d.String(), Unlogged: d.Bool(), Status: d.status(false)})
	}
	return v
}

func statusTexts(v *mail.Status) []*string {
	return []*string{&v.Code, &v.Reason, &v.Relay, &v.DiagType, &v.DiagText, &v.MTAType, &v.MTAName}
}

// Refusal writes a *mail.Error. Its cause does not travel.
func (e *Encoder) Refusal(v *mail.Error) {
	e.Uint(uint64(v.Reply))
	e.String(v.Code)
	e.String(v.Text)
}

// Refusal reads a *mail.Error.
func (d *Decoder) Refusal() *mail.Error {
	return &mail.Error{Reply: int(d.small(599)), Code: d.String(), Text: d.String()}
}
