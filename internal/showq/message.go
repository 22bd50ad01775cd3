package showq

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"strconv"

	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
	"posthaste/internal/selection"
)

// few is how many recipients of a message are in memory at a time.
const few = 1000

// reader reads the messages of a batch.
type reader struct {
	lister
	batch *batch
	kept  *queue.MemoReader // nil: none
	wire  []byte
	text  []byte
}

// one adds a message to the batch's part of the listing.
func (r *reader) one(id mail.QueueID) {
	f := r.batch.Folder
	if r.kept != nil && !r.brief {
		st, err := f.Stat(id)
		if err != nil {
			r.tell(f.Queue, id, err)
			return
		}
		if st.Ready() && r.add(r.kept.Get(id, st)) {
			return
		}
	}
	m, err := f.Open(id)
	if err == nil {
		if m.Stat.Ready() {
			err = r.message(m, id)
		}
		m.Close()
	}
	r.tell(f.Queue, id, err)
}

// clientHead is what stands in front of the text of a message that is kept:
// where that of the client begins in it, and how long it is.
const clientHead = 4

// add adds a text as it is kept, without the client unless it is wanted; false
// when it is none.
func (r *reader) add(text []byte) bool {
	if len(text) < clientHead {
		return false
	}
	wire := text[clientHead:]
	from := int(binary.LittleEndian.Uint16(text))
	to := from + int(binary.LittleEndian.Uint16(text[2:]))
	if to > len(wire) {
		return false
	}
	if r.clients {
		from = to
	}
	r.wire = append(r.wire, wire[:from]...)
	r.wire = append(r.wire, wire[to:]...)
	return true
}

// message reads one message and the recipients it still has.
func (r *reader) message(m *queue.Message, id mail.QueueID) error {
	name := r.batch.Folder.Queue
	if name == queue.Maildrop && m.Stat.Dropped() {
		return r.dropped(m, id)
	}
	info, err := m.Info(few)
	if err != nil {
		return err
	}
	if info.Next != 0 {
		r.batch.parts = append(r.batch.parts, part{r.wire, id})
		r.wire = nil
		return nil
	}
	why := r.reasons(r.batch.Folder, id)
	b, from, to := head(append(r.text[:0], make([]byte, clientHead)...), name, id, &info.Envelope, info.DataSize, m.Stat.Expired())
	for _, e := range info.Entries {
		b = why.append(b, e)
	}
	b = append(b, 0)
	r.text = b
	from, to = from-clientHead, to-clientHead
	if from > math.MaxUint16 || to-from > math.MaxUint16 {
		r.wire = append(r.wire, b[clientHead:]...) // longer than can be noted
		return nil
	}
	binary.LittleEndian.PutUint16(b, uint16(from))
	binary.LittleEndian.PutUint16(b[2:], uint16(to-from))
	r.add(b)
	if r.keep && r.batch.memo != nil {
		r.batch.memo.Put(id, m.Stat, b)
	}
	return nil
}

// dropped reads a message as it was dropped in maildrop.
func (r *reader) dropped(m *queue.Message, id mail.QueueID) error {
	sub, err := record.ReadSubmission(m, false)
	if err != nil {
		return err
	}
	start := len(r.wire)
	r.wire, _, _ = head(r.wire, queue.Maildrop, id, &mail.Envelope{Sender: sub.Envelope.Sender, Arrival: m.Stat.MTime}, m.Stat.Size, false)
	err = sub.Recipients(func(to mail.Recipient) error {
		r.wire = recipient(r.wire, to.Address, "")
		return nil
	})
	if err != nil {
		r.wire = r.wire[:start]
		return err
	}
	r.wire = append(r.wire, 0)
	return nil
}

// long writes a message with many recipients.
func (s lister) long(out ipc.Attributes, b *batch, id mail.QueueID) error {
	m, err := b.Folder.Open(id)
	if err != nil {
		return err
	}
	defer m.Close()
	info, err := m.Info(few)
	if err != nil {
		return err
	}
	why := s.reasons(b.Folder, id)
	text, from, to := head(nil, b.Folder.Queue, id, &info.Envelope, info.DataSize, m.Stat.Expired())
	if !s.clients {
		text = append(text[:from], text[to:]...)
	}
	// Once it has begun the message must end, or the client loses its place.
	for list, next := info.Entries, info.Next; ; {
		for _, e := range list {
			text = why.append(text, e)
		}
		if _, err := out.Write(text); err != nil {
			return err
		}
		if next == 0 {
			break
		}
		text = text[:0]
		if list, next, err = record.ReadEntries(m, info, next, few); err != nil {
			break
		}
	}
	out.End()
	return err
}

// reasons are those why recipients wait.
type reasons struct {
	why    map[mail.Address]string
	within map[int64]string // an alias waits for a destination of its own
}

// reasons reads the log of a message.
func (s lister) reasons(f *queue.Folder, id mail.QueueID) (r reasons) {
	if f.Queue == queue.Incoming || s.brief {
		return r
	}
	log, err := f.DeferLog(id)
	if err != nil && !errors.Is(err, queue.ErrGone) {
		s.warn("defer log of %s: %s", id, err)
	}
	if len(log) == 0 {
		return r
	}
	r = reasons{make(map[mail.Address]string, len(log)), make(map[int64]string, len(log))}
	for _, e := range log {
		r.why[e.Recipient.Address] = e.Status.Reason
		r.within[e.Offset] = e.Status.Reason
	}
	return r
}

// append appends a recipient.
func (r reasons) append(b []byte, e record.Entry) []byte {
	if e.Done {
		return b
	}
	return recipient(b, e.Recipient.Address, cmp.Or(r.why[e.Recipient.Address], r.within[e.Offset]))
}

// head appends what stands in front of the recipients, and tells where that of
// the client begins and ends in b.
func head(b []byte, name queue.Name, id mail.QueueID, e *mail.Envelope, size int64, expired bool) (text []byte, from, to int) {
	var n [20]byte
	force := "0"
	if expired {
		force = "1"
	}
	b = ipc.AppendAttribute(b, "queue_name", string(name))
	b = ipc.AppendAttribute(b, "queue_id", string(id))
	b = ipc.AppendAttribute(b, "time", string(strconv.AppendInt(n[:0], e.Arrival.Unix(), 10)))
	b = ipc.AppendAttribute(b, "size", string(strconv.AppendInt(n[:0], size, 10)))
	b = ipc.AppendAttribute(b, "forced_expire", force)
	from = len(b)
	if client := e.Origin.Logged; client.Name != "" || client.Address != "" {
		b = ipc.AppendAttribute(b, "client_name", maillog.Sanitize(client.Name))
		b = ipc.AppendAttribute(b, "client_address", maillog.Sanitize(client.Address))
	}
	to = len(b)
	sender := e.Sender.Quoted()
	if sender == "" {
		sender = selection.NullSender
	}
	return ipc.AppendAttribute(b, "sender", maillog.Sanitize(sender)), from, to
}

func recipient(b []byte, to mail.Address, reason string) []byte {
	b = ipc.AppendAttribute(b, "recipient", maillog.Sanitize(to.Quoted()))
	return ipc.AppendAttribute(b, "reason", maillog.Sanitize(reason))
}
