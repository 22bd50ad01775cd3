package user

import (
	"errors"
	"os"
	"time"

	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/mailbox"
)

// The requests a child knows.
const (
	opDeliver = 'D'
	opRun     = 'R'
	opRead    = 'F'
)

// request is one of the three jobs.
type request struct {
	op       int64
	delivery Delivery
	command  Command
	path     string
	limit    int64
}

// reply is the answer to any of them.
type reply struct {
	err      *mail.Error
	warnings mailbox.Warnings
	outcome  Outcome
	file     mailbox.File
}

// contentFile is the descriptor that goes with the request.
func (r *request) contentFile() (*os.File, error) {
	var m *mailbox.Message
	switch r.op {
	case opDeliver:
		m = &r.delivery.Message
	case opRun:
		m = &r.command.Message
	default:
		return nil, nil
	}
	f, ok := m.Content.File.(*os.File)
	if !ok {
		return nil, errors.New("message content is not in a file")
	}
	return f, nil
}

func (r *request) encode() []byte {
	var e ipc.Encoder
	e.Int(r.op)
	switch r.op {
	case opDeliver:
		e.String(r.delivery.Path)
		encodeOptions(&e, r.delivery.Options)
		encodeMessage(&e, &r.delivery.Message)
	case opRun:
		encodeCommand(&e, &r.command)
	case opRead:
		e.String(r.path)
		e.Int(r.limit)
	}
	return e.Frame()
}

// decodeRequest reads a request; file becomes the content of its message.
func decodeRequest(frame []byte, file *os.File) (*request, error) {
	d := ipc.NewDecoder(frame)
	r := &request{op: d.Int()}
	switch r.op {
	case opDeliver:
		r.delivery.Path = d.String()
		r.delivery.Options = decodeOptions(d)
		decodeMessage(d, &r.delivery.Message)
		r.delivery.Message.Content.File = file
	case opRun:
		decodeCommand(d, &r.command)
		r.command.Message.Content.File = file
	case opRead:
		r.path, r.limit = d.String(), d.Int()
	default:
		return nil, errors.New("unknown request")
	}
	if err := d.Done(); err != nil {
		return nil, err
	}
	if file == nil && r.op != opRead {
		return nil, errors.New("request without message")
	}
	return r, nil
}

func encodeOptions(e *ipc.Encoder, o mailbox.Options) {
	e.Int(o.MaxSize)
	e.Uint(uint64(len(o.Locks)))
	for _, l := range o.Locks {
		e.String(string(l))
	}
	e.Int(int64(o.Attempts))
	e.Int(int64(o.Delay))
	e.Int(int64(o.Stale))
	e.Bool(o.StrictOwner)
	e.Bool(o.SoftDotlock)
	e.String(o.Hostname)
	e.String(o.Code)
}

func decodeOptions(d *ipc.Decoder) mailbox.Options {
	o := mailbox.Options{MaxSize: d.Int()}
	for _, name := range d.Strings() {
		o.Locks = append(o.Locks, mailbox.Lock(name))
	}
	o.Attempts = int(d.Int())
	o.Delay = time.Duration(d.Int())
	o.Stale = time.Duration(d.Int())
	o.StrictOwner, o.SoftDotlock = d.Bool(), d.Bool()
	o.Hostname, o.Code = d.String(), d.String()
	return o
}

func encodeMessage(e *ipc.Encoder, m *mailbox.Message) {
	e.String(string(m.Sender))
	e.String(string(m.Original))
	e.String(string(m.Delivered))
	e.Time(m.Arrived)
	e.Int(m.Content.Offset)
	e.Int(m.Content.Length)
	e.Int(int64(m.Content.Digest))
	e.Bool(m.Content.Summed)
}

func decodeMessage(d *ipc.Decoder, m *mailbox.Message) {
	m.Sender, m.Original, m.Delivered = mail.Address(d.String()), mail.Address(d.String()), mail.Address(d.String())
	m.Arrived = d.Time()
	m.Content.Offset, m.Content.Length = d.Int(), d.Int()
	m.Content.Digest, m.Content.Summed = uint32(d.Int()), d.Bool()
}

func encodeCommand(e *ipc.Encoder, c *Command) {
	e.Strings(c.Argv)
	e.String(c.Line)
	e.String(c.Shell)
	e.Strings(c.Env)
	e.String(c.Dir)
	e.Int(int64(c.Limit))
	f := c.Format
	for _, b := range []bool{f.FromLine, f.ReturnPath, f.QuoteFrom, f.DotStuff, f.BlankLine} {
		e.Bool(b)
	}
	e.String(f.EndOfLine)
	encodeMessage(e, &c.Message)
}

func decodeCommand(d *ipc.Decoder, c *Command) {
	c.Argv, c.Line, c.Shell = d.Strings(), d.String(), d.String()
	c.Env, c.Dir, c.Limit = d.Strings(), d.String(), time.Duration(d.Int())
	f := &c.Format
	for _, b := range []*bool{&f.FromLine, &f.ReturnPath, &f.QuoteFrom, &f.DotStuff, &f.BlankLine} {
		*b = d.Bool()
	}
	f.EndOfLine = d.String()
	decodeMessage(d, &c.Message)
}

func (r *reply) encode() []byte {
	var e ipc.Encoder
	e.Bool(r.err != nil)
	if r.err != nil {
		e.Refusal(r.err)
	}
	e.Strings(r.warnings)
	e.Int(int64(r.outcome.Exit))
	e.Int(int64(r.outcome.Signal))
	e.Bool(r.outcome.TimedOut)
	e.Bytes(r.outcome.Output)
	e.Bytes(r.file.Data)
	e.Int(int64(r.file.Mode))
	e.Int(int64(r.file.UID))
	e.Int(int64(r.file.GID))
	e.Bool(r.file.Found)
	e.Bool(r.file.Whole)
	return e.Frame()
}

func decodeReply(frame []byte) (*reply, error) {
	d := ipc.NewDecoder(frame)
	r := &reply{}
	if d.Bool() {
		r.err = d.Refusal()
	}
	r.warnings = d.Strings()
	r.outcome = Outcome{Exit: int(d.Int()), Signal: int(d.Int()), TimedOut: d.Bool(), Output: d.Bytes()}
	r.file = mailbox.File{Data: d.Bytes(), Mode: uint32(d.Int()), UID: uint32(d.Int()), GID: uint32(d.Int()),
		Found: d.Bool(), Whole: d.Bool()}
	return r, d.Done()
}
