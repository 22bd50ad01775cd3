package intake

import (
	"context"
	"strconv"
	"strings"

	"posthaste/internal/address"
	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
)

// maps tells whether addresses are mapped through tables.
func (m *Message) maps() bool { return !m.door.options.NoAddressMappings }

// automatic tells whether automatic BCC recipients are added.
func (m *Message) automatic() bool { return m.maps() && !m.door.options.Internal }

// sender rewrites the envelope sender and writes the envelope.
func (m *Message) sender(ctx context.Context) error {
	maps := m.door.maps
	from := maps.Rewriter.Rewrite(m.envelope.Sender, address.Local)
	// Mail from MAILER-DAEMON here is a notice from another program: it must
	// not be answered either.
	if local, domain := from.Split(); strings.EqualFold(local, "mailer-daemon") && strings.EqualFold(domain, maps.Rewriter.Origin()) {
		from = ""
	}
	if from != "" && m.maps() {
		var err error
		if from, err = maps.Canonical(ctx, from, address.EnvelopeSender); err != nil {
			return refusal(err)
		}
	}
	m.envelope.Sender = from
	m.utf8(string(from), mail.OptionUTF8Sender)
	m.out.Envelope(&m.envelope)
	if from == "" || !m.automatic() {
		return nil
	}
	bcc, err := maps.SenderBCC(ctx, from)
	if err != nil {
		return m.lookupFailed("sender_bcc_maps", from, err)
	}
	return m.copyTo(ctx, bcc)
}

// Recipient adds a recipient, as the client named it: it is rewritten, mapped
// and expanded here. Duplicates are dropped. It may be called until Commit.
func (m *Message) Recipient(ctx context.Context, r mail.Recipient) error {
	if m.err != nil {
		return m.err
	}
	if m.stage != inEnvelope {
		m.late = append(m.late, r)
		return nil
	}
	m.given++
	m.shown = r.Address
	return m.fail(m.recipient(ctx, r))
}

func (m *Message) recipient(ctx context.Context, r mail.Recipient) error {
	if r.Address == "" {
		r.Address = mail.Address(m.door.params.Common.EmptyAddressRecipient)
	}
	if r.Original == "" {
		r.Original = r.Address
	}
	r.Address = m.door.maps.Rewriter.Rewrite(r.Address, address.Local)
	if r.DSNOriginal == "" { // complete: other systems have other domains
		r.DSNOriginal = smtp.OriginalRecipient(r.Address)
	}
	var err error
	if r.Address, err = m.canonical(ctx, r.Address); err != nil {
		return err
	}
	m.last = r.Address
	if err := m.expand(ctx, r); err != nil {
		return err
	}
	if !m.automatic() {
		return nil
	}
	bcc, err := m.door.maps.RecipientBCC(ctx, r.Address)
	if err != nil {
		return m.lookupFailed("recipient_bcc_maps", r.Address, err)
	}
	return m.copyTo(ctx, bcc)
}

// standard rewrites and maps an envelope recipient.
func (m *Message) standard(ctx context.Context, a mail.Address) (mail.Address, error) {
	return m.canonical(ctx, m.door.maps.Rewriter.Rewrite(a, address.Local))
}

// canonical maps an envelope recipient.
func (m *Message) canonical(ctx context.Context, a mail.Address) (mail.Address, error) {
	if !m.maps() {
		return a, nil
	}
	return m.door.maps.Canonical(ctx, a, address.EnvelopeRecipient)
}

// expand writes the recipient, or what its alias stands for.
func (m *Message) expand(ctx context.Context, r mail.Recipient) error {
	if !m.door.params.EnableOriginal {
		r.Original = ""
	}
	if !m.maps() {
		m.write(r)
		return nil
	}
	to, err := m.door.maps.Aliases(ctx, r.Address)
	if err != nil {
		return err
	}
	if len(to) > 1 || to[0] != r.Address {
		// The alias is the delivery that was to be confirmed; what it leads to
		// is not (RFC 3461 section 5.2.7.3).
		if r.Notify&mail.NotifySuccess != 0 {
			m.expanded = append(m.expanded, r)
			if r.Notify &^= mail.NotifySuccess; r.Notify == 0 {
				r.Notify = mail.NotifyNever
			}
		}
	}
	for _, a := range to {
		r.Address = a
		m.write(r)
	}
	return nil
}

func (m *Message) write(r mail.Recipient) {
	if m.seen.before(r, m.door.params.DuplicateLimit) {
		return
	}
	m.utf8(string(r.Address), 0)
	m.out.Recipient(r)
	if m.door.options.KeepRecipients {
		m.keep(r)
	}
}

// copyTo adds an automatic BCC recipient. Nobody is told of its failures:
// the sender does not know of it.
func (m *Message) copyTo(ctx context.Context, to mail.Address) error {
	if to == "" {
		return nil
	}
	a, err := m.standard(ctx, to)
	if err != nil {
		return err
	}
	return m.expand(ctx, mail.Recipient{Address: a, Original: a, Notify: mail.NotifyNever})
}

// automaticBCC adds always_bcc and what BCC actions asked for.
func (m *Message) automaticBCC(ctx context.Context) error {
	if m.automatic() {
		if err := m.copyTo(ctx, m.door.maps.AlwaysBCC()); err != nil {
			return err
		}
	}
	for _, a := range m.bcc {
		if err := m.copyTo(ctx, m.door.maps.Rewriter.Rewrite(a, address.Local)); err != nil {
			return err
		}
	}
	return nil
}

func (m *Message) lookupFailed(maps string, a mail.Address, err error) error {
	m.door.log.Warning("%s: %s map lookup problem for %s -- message not accepted, try again later", m.ID(), maps, a)
	return refusal(err)
}

// utf8 notes that a part of the message needs SMTPUTF8. It counts only when
// the client asked for it or the door is to find out by itself: much old mail
// has 8-bit headers and must go through as it is. Recipients have no bit in the
// queue file, o is 0: the agent looks at each.
func (m *Message) utf8(s string, o mail.Options) {
	if mail.IsASCII(s) || !m.door.params.Common.SMTPUTF8Enable {
		return
	}
	if m.door.detects {
		m.envelope.Options |= mail.OptionSMTPUTF8
	}
	if m.envelope.Options&mail.OptionSMTPUTF8 != 0 {
		m.envelope.Options |= o
	}
}

// duplicates remembers recipients. The map is made for the second one: most
// messages have one.
type duplicates struct {
	first string
	rest  map[string]struct{}
}

// before tells whether r was written already. Recipients that differ in what
// delivery or notices depend on are not the same.
func (d *duplicates) before(r mail.Recipient, limit int) bool {
	key := r.DSNOriginal + "\n" + strconv.Itoa(int(r.Notify)) + "\n" + string(r.Original) + "\n" + string(r.Address)
	key = strings.ToLower(key)
	if d.first == "" {
		d.first = key
		return false
	}
	if key == d.first {
		return true
	}
	if _, ok := d.rest[key]; ok {
		return true
	}
	if limit <= 0 || len(d.rest)+1 < limit {
		if d.rest == nil {
			d.rest = make(map[string]struct{})
		}
		d.rest[key] = struct{}{}
	}
	return false
}
