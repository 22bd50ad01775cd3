package command

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"posthaste/internal/config"
	"posthaste/internal/intake"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue/record"
	"posthaste/internal/receive/smtpd"
	"posthaste/internal/table"
	"posthaste/internal/table/open"
)

// standAlone is sendmail -bs: it speaks SMTP on standard input and output. Mail
// goes to maildrop, so that it is taken while the system is stopped too. The
// client is a user who may submit mail to anybody: no access list is checked.
func (s *sendmail) standAlone() error {
	if err := s.authorize(); err != nil {
		return err
	}
	inst, err := openInstance(s.env, s.configDir)
	if err != nil {
		return err
	}
	var p smtpd.Params
	if err := inst.snap.Bind(&p); err != nil {
		return err
	}
	var log *maillog.Logger
	if sink, err := inst.sink(); err == nil { // else the user has no right to it
		log = maillog.NewBase(sink, inst.common.SyslogName).Named("smtpd")
	}
	tables := open.New(table.Options{Warn: log.Warning, UTF8: true})
	defer tables.Close()
	srv, err := smtpd.New(p, smtpd.Deps{Log: log, Service: "smtpd", Tables: tables, StandAlone: true, Open: s.openDrop})
	if err != nil {
		return err
	}
	conn, finish, err := standardConn(s.env.Stdin, s.env.Stdout)
	if err != nil {
		return err
	}
	srv.ServeConn(context.Background(), conn)
	finish()
	return nil
}

// standardConn makes a connection whose other end is a reader and a writer. A
// pair of sockets is between them: these have time limits, which standard input
// need not have. The end of the input closes one direction only, for answers
// may still be due. finish waits, after the connection was closed, until all
// has been written.
func standardConn(in io.Reader, out io.Writer) (conn net.Conn, finish func(), err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "standard input and output")
		c, e := net.FileConn(f)
		f.Close()
		ends[i], _ = c.(*net.UnixConn)
		err = errors.Join(err, e)
	}
	if err != nil {
		return nil, nil, err
	}
	client := ends[1]
	go func() {
		io.Copy(client, in)
		client.CloseWrite()
	}()
	written := make(chan struct{})
	go func() {
		io.Copy(out, client)
		client.Close() // after a failed write nobody listens
		close(written)
	}()
	return ends[0], func() { <-written }, nil
}

// openDrop begins a message for maildrop.
func (s *sendmail) openDrop(_ context.Context, e mail.Envelope) (smtpd.Message, error) {
	d, err := s.startPostdrop()
	if err != nil {
		return nil, err
	}
	m := &dropMessage{drop: d, w: record.NewMaildropWriter(d), common: &s.p.Common, envelope: e}
	m.w.Submission(&m.envelope)
	return m, nil
}

// dropMessage is a message from the SMTP server on its way to postdrop. The
// functions that access tables call do nothing: none is asked.
type dropMessage struct {
	drop     *postdrop
	ended    bool // drop has been waited for
	w        *record.Writer
	common   *config.Common
	envelope mail.Envelope
	first    mail.Address
	content  bool
}

func (m *dropMessage) Hold()                 {}
func (m *dropMessage) Filter(string)         {}
func (m *dropMessage) Redirect(mail.Address) {}
func (m *dropMessage) Prepend(string)        {}

func (m *dropMessage) ID() mail.QueueID { return m.drop.id }

// Recipient adds a recipient. What the client wrote is in its ORCPT.
func (m *dropMessage) Recipient(_ context.Context, r mail.Recipient) error {
	if m.w.Recipients() == 0 {
		m.first = r.Address
	}
	r.Original = ""
	m.w.Recipient(r)
	return m.failure()
}

// begin ends the envelope and writes our Received header. The one that is
// written when the message is picked up does not name the client.
func (m *dropMessage) begin() {
	if m.content {
		return
	}
	m.content = true
	m.w.BeginContent()
	only := m.first
	if m.w.Recipients() > 1 {
		only = ""
	}
	header := intake.AppendReceived(nil, m.common, &m.envelope, m.ID(), only, nil)
	for line := range strings.SplitSeq(string(header), "\n") {
		m.w.Line([]byte(line))
	}
}

// Line adds a line of content.
func (m *dropMessage) Line(text []byte) error {
	m.begin()
	m.w.Line(text)
	return m.failure()
}

// Fragment adds a part of a line.
func (m *dropMessage) Fragment(part []byte) error {
	m.begin()
	m.w.Fragment(part)
	return m.failure()
}

// failure lets the server go on when postdrop has stopped reading: its answer,
// which Commit reads, says why.
func (m *dropMessage) failure() error {
	if err := m.w.Err(); errors.Is(err, record.ErrEnvelopeText) {
		return err
	}
	return nil
}

// Commit hands over to postdrop and returns its answer.
func (m *dropMessage) Commit(context.Context) error {
	m.begin()
	m.w.BeginExtracted()
	if err := m.w.End(); errors.Is(err, record.ErrEnvelopeText) {
		m.Discard()
		return err
	}
	err := m.drop.finish()
	m.ended = true
	var refusal *dropRefusal
	if errors.As(err, &refusal) {
		return &mail.Error{Reply: refusal.reply, Code: refusal.code, Text: "Error: " + refusal.text}
	}
	return err
}

// Discard forgets the message, unless it has been committed.
func (m *dropMessage) Discard() {
	if !m.ended {
		m.drop.abort()
		m.ended = true
	}
}
