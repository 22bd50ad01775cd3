package showq

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"posthaste/internal/ipc"
	"posthaste/internal/selection"
)

// Head is one message of a listing, in front of its recipients.
type Head struct {
	Queue   string // active, deferred, hold, …
	ID      string
	Arrival time.Time
	Size    int64 // bytes
	Expired bool  // forced to expire
	Sender  string
	// ClientName and ClientAddress tell from where the message came, in ReadQueue
	// only; empty for local submissions.
	ClientName, ClientAddress string
}

// Printer is told what a listing holds, in its order. An error of it ends
// Read.
type Printer interface {
	Message(h Head) error
	// Recipient belongs to the last message; reason may be empty.
	Recipient(address, reason string) error
	// MessageEnd comes when all recipients were told.
	MessageEnd() error
}

// ErrMalformed is the error of a listing that breaks off or is none.
var ErrMalformed = errors.New("malformed showq server response")

// Read reads a listing to its end.
func Read(r io.Reader, p Printer) error {
	in := bufio.NewReaderSize(r, 64<<10)
	hello, err := ipc.ReadAttributes(in)
	if err != nil || hello["protocol"] != protocol {
		return malformed(err)
	}
	for {
		name, value, err := ipc.ReadAttribute(in)
		switch {
		case err != nil:
			return malformed(err)
		case name == "":
			return nil
		case name != "queue_name":
			return malformed(fmt.Errorf("unexpected attribute %q", name))
		}
		if err := readMessage(in, Head{Queue: value}, p); err != nil {
			return err
		}
	}
}

func malformed(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrMalformed
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

// readMessage reads what stands behind the name of the queue. Attributes that
// are not known are left out: newer servers have more of them.
func readMessage(in *bufio.Reader, h Head, p Printer) error {
	told := false
	tell := func() error {
		if told {
			return nil
		}
		told = true
		return p.Message(h)
	}
	to, why, open := "", "", false
	flush := func() error {
		if !open {
			return nil
		}
		open = false
		return p.Recipient(to, why)
	}
	for {
		name, value, err := ipc.ReadAttribute(in)
		if err != nil {
			return malformed(err)
		}
		switch name {
		case "":
			if err := errors.Join(tell(), flush()); err != nil {
				return err
			}
			return p.MessageEnd()
		case "recipient":
			if err := errors.Join(tell(), flush()); err != nil {
				return err
			}
			to, why, open = value, "", true
		case "reason":
			why = value
		default:
			if err := h.set(name, value); err != nil {
				return malformed(err)
			}
		}
	}
}

func (h *Head) set(name, value string) error {
	switch name {
	case "queue_id":
		h.ID = value
		return nil
	case "sender":
		h.Sender = value
		if value == "" {
			h.Sender = selection.NullSender
		}
		return nil
	case "client_name":
		h.ClientName = value
		return nil
	case "client_address":
		h.ClientAddress = value
		return nil
	case "time", "size", "forced_expire":
	default:
		return nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return fmt.Errorf("attribute %s: bad number %q", name, value)
	}
	switch name {
	case "time":
		h.Arrival = time.Unix(n, 0)
	case "size":
		h.Size = n
	default:
		h.Expired = n != 0
	}
	return nil
}
