package showq

import (
	"time"

	"posthaste/internal/selection"
)

// filter passes on the messages that an expression means.
type filter struct {
	expr *selection.Expr
	now  time.Time
	to   Printer
	head Head
	seen selection.Message
}

// Filter makes a printer that passes on to p only the messages that an
// expression means at a time. It keeps one message with its recipients.
func Filter(e *selection.Expr, now time.Time, p Printer) Printer {
	return &filter{expr: e, now: now, to: p}
}

// Message begins a message.
func (f *filter) Message(h Head) error {
	f.head = h
	f.seen = selection.Message{
		ID: h.ID, Queue: h.Queue, Sender: h.Sender, ClientName: h.ClientName, ClientAddress: h.ClientAddress,
		Size: h.Size, Arrival: h.Arrival, Recipients: f.seen.Recipients[:0],
	}
	return nil
}

// Recipient keeps a recipient until all are known.
func (f *filter) Recipient(address, reason string) error {
	f.seen.Recipients = append(f.seen.Recipients, selection.Recipient{Address: address, Reason: reason})
	return nil
}

// MessageEnd passes the message on if it is meant.
func (f *filter) MessageEnd() error {
	if !f.expr.Match(&f.seen, f.now) {
		return nil
	}
	if err := f.to.Message(f.head); err != nil {
		return err
	}
	for _, r := range f.seen.Recipients {
		if err := f.to.Recipient(r.Address, r.Reason); err != nil {
			return err
		}
	}
	return f.to.MessageEnd()
}
