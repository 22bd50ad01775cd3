package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"posthaste/internal/deliver/local"
	"posthaste/internal/intake"
	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue/record"
	"posthaste/internal/report"
)

// submit: other processes hand a whole message to the door of the queue
// process, over the socket of the cleanup service. One frame asks, with the
// file that holds the content, unless all of the message is in the frame; one
// frame answers: queue id, or a refusal.

// submitTime bounds one exchange: writing a message to a busy disk.
const submitTime = 10 * time.Minute

// submitter is the client.
type submitter struct{ path string }

// Forward implements local.Forwarder.
func (s submitter) Forward(_ context.Context, f local.Forward) (mail.QueueID, error) {
	var files []*os.File
	if f.Content.File != nil {
		file, err := contentFile(f.Content)
		if err != nil {
			return "", err
		}
		defer file.Close()
		files = []*os.File{file}
	}
	c, err := ipc.Dial(s.path)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(submitTime))
	if err := c.Send(encodeSubmission(&f), files...); err != nil {
		return "", err
	}
	frame, passed, err := c.Receive()
	ipc.CloseAll(passed)
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.path, err)
	}
	d := ipc.NewDecoder(frame)
	if d.Bool() {
		id := mail.QueueID(d.String())
		return id, d.Done()
	}
	refused := d.Refusal()
	if err := d.Done(); err != nil {
		return "", err
	}
	return "", refused
}

// contentFile is a descriptor of our own for a content's file.
func contentFile(c record.Content) (*os.File, error) {
	f, ok := c.File.(*os.File)
	if !ok {
		return nil, fmt.Errorf("content of type %T cannot be passed on", c.File)
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func encodeSubmission(f *local.Forward) []byte {
	var e ipc.Encoder
	e.Envelope(&f.Envelope)
	e.Uint(uint64(len(f.Recipients)))
	for _, r := range f.Recipients {
		e.Recipient(r)
	}
	e.Strings(f.Headers)
	e.Int(f.Content.Offset)
	e.Int(f.Content.Length)
	e.Uint(uint64(f.Content.Digest))
	e.Bool(f.Content.Summed)
	return e.Frame()
}

func decodeSubmission(frame []byte, files ...*os.File) (local.Forward, error) {
	d := ipc.NewDecoder(frame)
	var f local.Forward
	f.Envelope = d.Envelope()
	for range d.Count() {
		if d.Err() != nil {
			break
		}
		f.Recipients = append(f.Recipients, d.Recipient())
	}
	f.Headers = d.Strings()
	c := record.Content{Offset: d.Int(), Length: d.Int()}
	digest := d.Uint()
	c.Digest, c.Summed = uint32(digest), d.Bool()
	if c.Offset < 0 || c.Length < 0 || c.Offset+c.Length < 0 || digest > 0xffffffff {
		d.Fail("bad content region")
	}
	if len(files) > 0 {
		c.File = files[0]
	}
	f.Content = c
	return f, d.Done()
}

// open begins a message of lines; they are handed over as a whole at its end.
// It is for mail that a process makes itself.
func (s submitter) open(_ context.Context, e mail.Envelope) (report.Message, error) {
	return &submittedMessage{to: s, f: local.Forward{Envelope: e}}, nil
}

// submittedMessage is such a message.
type submittedMessage struct {
	to submitter
	f  local.Forward
	id mail.QueueID
}

// ID is the queue id, when the message is in the queue.
func (m *submittedMessage) ID() mail.QueueID { return m.id }

// Recipient adds a recipient.
func (m *submittedMessage) Recipient(_ context.Context, r mail.Recipient) error {
	m.f.Recipients = append(m.f.Recipients, r)
	return nil
}

// Line adds a line.
func (m *submittedMessage) Line(text []byte) error {
	m.f.Headers = append(m.f.Headers, string(text))
	return nil
}

// Fragment is not used: mail that a process makes has no long lines.
func (m *submittedMessage) Fragment(part []byte) error { return m.Line(part) }

// Commit hands the message over.
func (m *submittedMessage) Commit(ctx context.Context) (err error) {
	m.id, err = m.to.Forward(ctx, m.f)
	return err
}

// Discard does nothing: there is nothing before Commit.
func (m *submittedMessage) Discard() {}

// submitServer is the server.
type submitServer struct {
	door *door
	log  *maillog.Logger
}

func (s submitServer) serve(ctx context.Context, conn net.Conn) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return
	}
	if peer, err := ipc.PeerOf(u); err != nil || !ownUser(peer.UID) {
		s.log.Warning("submission refused from user %d", peer.UID)
		return
	}
	c := ipc.New(u)
	c.SetDeadline(time.Now().Add(submitTime))
	frame, files, err := c.Receive()
	defer ipc.CloseAll(files)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			s.log.Warning("submission: %s", err)
		}
		return
	}
	if len(files) > 1 {
		s.log.Warning("submission with %d files", len(files))
		return
	}
	f, err := decodeSubmission(frame, files...)
	if err != nil {
		s.log.Warning("submission: %s", err)
		return
	}
	var e ipc.Encoder
	id, err := s.take(context.WithoutCancel(ctx), &f)
	var refused *mail.Error
	switch {
	case err == nil:
		e.Bool(true)
		e.String(string(id))
	case errors.As(err, &refused):
		e.Bool(false)
		e.Refusal(refused)
	default:
		s.log.Warning("submission: %s", err)
		e.Bool(false)
		e.Refusal(&mail.Error{Reply: 451, Code: "4.3.0", Text: "Error: queue file write error"})
	}
	c.Send(e.Frame())
}

// take puts a message into the queue.
func (s submitServer) take(ctx context.Context, f *local.Forward) (mail.QueueID, error) {
	f.Envelope.Arrival, f.Envelope.Created = time.Time{}, time.Time{} // a new message
	m, err := s.door.with(intake.Options{Internal: true, Forwarded: true, Class: "forward"}).open(ctx, f.Envelope)
	if err != nil {
		return "", err
	}
	defer m.Discard()
	for _, r := range f.Recipients {
		if err := m.Recipient(ctx, r); err != nil {
			return "", err
		}
	}
	for _, h := range f.Headers {
		if err := m.Line([]byte(h)); err != nil {
			return "", err
		}
	}
	if f.Content.File != nil {
		if err := copyContent(m, f.Content); err != nil {
			return "", err
		}
	}
	return m.ID(), m.Commit(ctx)
}

// copyContent hands the lines of a message over.
func copyContent(m *message, c record.Content) error {
	lines := c.Lines()
	defer lines.Close()
	for {
		text, complete, err := lines.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case complete:
			err = m.Line(text)
		default:
			err = m.Fragment(text)
		}
		if err != nil {
			return err
		}
	}
}
