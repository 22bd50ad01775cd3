package local

import (
	"context"
	"errors"
	"slices"
	"strings"

	"posthaste/internal/mail"
)

// outgoing are the addresses that are sent on for one sender.
type outgoing struct {
	sender     mail.Address
	delivered  mail.Address
	recipients []mail.Recipient
}

// forward adds an address to those that are sent on.
func (j *job) forward(p place) {
	j.once(p, "forward:"+foldAddress(p.address), func() {
		rcpt := mail.Recipient{Address: p.address, Original: j.recipient.Original, Notify: withoutSuccess(j.recipient.Notify)}
		if rcpt.DSNOriginal = j.recipient.DSNOriginal; p.owned {
			// A list is the end of the way of the sender's wishes (RFC 3461 section 5.2.7.3),
			// nor does a member, or its system, have to know who the list was.
			rcpt.Original, rcpt.DSNOriginal, rcpt.Notify = "", "", 0
		}
		for i := range j.outgoing {
			if o := &j.outgoing[i]; o.sender == p.sender && o.delivered == p.delivered {
				o.recipients = append(o.recipients, rcpt)
				return
			}
		}
		j.outgoing = append(j.outgoing, outgoing{sender: p.sender, delivered: p.delivered, recipients: []mail.Recipient{rcpt}})
	})
}

// withoutSuccess is what is asked for behind an alias, whose success is
// reported here. Who wants to hear of success only wants nothing then.
func withoutSuccess(n mail.Notify) mail.Notify {
	if n == mail.NotifySuccess {
		return mail.NotifyNever
	}
	return n &^ mail.NotifySuccess
}

// sendOn makes the new messages.
func (j *job) sendOn(ctx context.Context, p place) {
	if j.full {
		return // part of a list is of no use, and would be sent at every retry
	}
	for _, o := range j.outgoing {
		if j.probing() {
			for _, r := range o.recipients {
				to := p
				to.address = r.Address
				j.add(to, mail.Status{Action: mail.Deliverable, Code: "2.0.0", Reason: "forwards to " + string(r.Address)})
			}
			continue
		}
		env := j.request.Envelope
		f := Forward{Recipients: o.recipients, Content: j.request.Content, Envelope: mail.Envelope{
			Sender: o.sender, FullName: env.FullName, EnvelopeID: env.EnvelopeID, Return: env.Return,
			Encoding: env.Encoding, Options: env.Options, Origin: env.Origin,
		}}
		if o.sender != env.Sender {
			f.Envelope.EnvelopeID, f.Envelope.Return = "", 0
		}
		if slices.Contains(j.params.PrependDelivered, "forward") {
			// In small letters here, and as it was in mailboxes.
			f.Headers = []string{"Delivered-To: " + headerText(mail.Address(mail.LowerASCII(string(o.delivered))))}
		}
		id, err := j.deps.Forwarder.Forward(ctx, f)
		var refused *mail.Error
		switch {
		case err == nil:
			j.add(p, mail.Status{Action: mail.Relayed, Code: "2.0.0", Reason: "forwarded as " + string(id)})
		case errors.As(err, &refused) && !refused.Temporary():
			j.add(p, refused.Status())
		default:
			j.deps.Log.Warning("%s: cannot forward: %v", j.request.ID, err)
			j.add(p, mail.Defer("4.3.0", "unable to forward message"))
		}
	}
}

// headerText is an address that cannot break out of its header.
func headerText(a mail.Address) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, a.Quoted())
}
