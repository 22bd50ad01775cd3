package run

import (
	"context"

	"posthaste/internal/address"
	"posthaste/internal/intake"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// door is the one door with a bell: whoever schedules learns of each message
// that came in.
type door struct {
	door *intake.Door
	bell func(mail.QueueID)
}

// newDoor makes the door that the cleanup row describes.
func (p *process) newDoor(q *queue.Queue, bell func(mail.QueueID)) (*door, error) {
	r, err := p.find("cleanup")
	if err != nil {
		return nil, err
	}
	var params intake.Params
	if err := r.snap.Bind(&params); err != nil {
		return nil, err
	}
	rewriting, deps, err := r.addresses()
	if err != nil {
		return nil, err
	}
	d, err := intake.New(params, intake.Deps{
		Queue: intake.Incoming(q), Maps: address.NewMaps(rewriting, deps), Tables: r.tables, Log: r.log, Logs: q,
		Untaken: func(id mail.QueueID) bool {
			_, err := q.Stat(queue.Incoming, id)
			return err == nil
		},
	})
	if err != nil {
		return nil, r.fault(err)
	}
	return &door{d, bell}, nil
}

// with returns the same door for messages that are treated by o.
func (d *door) with(o intake.Options) *door { return &door{d.door.With(o), d.bell} }

// open begins a message.
func (d *door) open(ctx context.Context, e mail.Envelope) (*message, error) {
	m, err := d.door.Open(ctx, e)
	if err != nil {
		return nil, err
	}
	return &message{m, d.bell}, nil
}

// message rings the bell when it is in the queue.
type message struct {
	*intake.Message
	bell func(mail.QueueID)
}

// Commit ends the message.
func (m *message) Commit(ctx context.Context) error {
	if err := m.Message.Commit(ctx); err != nil {
		return err
	}
	m.bell(m.ID())
	return nil
}
