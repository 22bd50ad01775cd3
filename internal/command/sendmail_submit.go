package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

	"posthaste/internal/address"
	"posthaste/internal/command/setgid"
	"posthaste/internal/config"
	"posthaste/internal/ipc"
	"posthaste/internal/mail"
	"posthaste/internal/queue/record"
	"posthaste/internal/table"
	"posthaste/internal/table/open"
)

// sendmailParams are the parameters that sendmail shares with postdrop.
type sendmailParams struct{ setgid.Params }

func (p *sendmailParams) bind(s *config.Snapshot) error {
	if err := s.Bind(&p.Params); err != nil {
		return err
	}
	switch p.FixLineEndings {
	case "always", "strict", "never":
		return nil
	}
	return fmt.Errorf("invalid sendmail_fix_line_endings value: %s", p.FixLineEndings)
}

// errnoText is the C library's text of a system error.
func errnoText(err error) string { return table.ErrorText(err) }

// submit reads a message and has postdrop put it into maildrop.
func (s *sendmail) submit() error {
	if err := s.authorize(); err != nil {
		return err
	}
	login, err := s.setSender()
	if err != nil {
		return err
	}
	fault := func(err error) error { return fmt.Errorf("%s(%d): %w", login, os.Getuid(), err) }
	if err := s.setVERP(login); err != nil {
		return err
	}
	switch {
	case s.verify:
		s.envelope.Trace = mail.TraceVerify
	case s.verbose == 1:
		s.envelope.Trace = mail.TraceRecord
	}
	drop, err := s.startPostdrop()
	if err != nil {
		return fault(err)
	}
	if err := s.send(drop); err != nil {
		drop.abort()
		return fault(err)
	}
	if err := drop.finish(); err != nil {
		return fault(err)
	}
	if s.envelope.Trace != 0 {
		fmt.Fprintf(s.env.Stdout, "Mail Delivery Status Report will be mailed to <%s>.\n", s.envelope.Sender)
	}
	return nil
}

func (s *sendmail) authorize() error {
	tables := open.New(table.Options{Warn: s.env.Warn})
	defer tables.Close()
	name, err := setgid.Refused(tables, "authorized_submit_users", s.p.SubmitUsers, os.Getuid())
	if err != nil || name == "" {
		return err
	}
	return fmt.Errorf("User %s(%d) is not allowed to submit mail", name, os.Getuid())
}

// parse reads an address in external form, as a user types it.
func parse(text string) []mail.Address {
	var list []mail.Address
	for _, box := range address.ParseAddresses(text, math.MaxInt) {
		list = append(list, box.Address)
	}
	return list
}

// setSender finds the envelope sender and the full name. It returns the sender
// as it is shown in messages.
func (s *sendmail) setSender() (string, error) {
	account, err := user.LookupId(strconv.Itoa(os.Getuid()))
	switch {
	case s.sender != nil:
		list := parse(*s.sender)
		if len(list) > 1 {
			s.warn("-f option specified malformed sender: %s", *s.sender)
		}
		if len(list) > 0 {
			s.envelope.Sender = list[0]
		}
	case err != nil:
		return "", fmt.Errorf("no login name found for user ID %d", os.Getuid())
	default:
		s.envelope.Sender = mail.Address(account.Username)
	}
	switch name := s.env.Getenv("NAME"); {
	case s.fullName != nil:
		s.envelope.FullName = *s.fullName
	case name != "":
		s.envelope.FullName = name
	case err == nil:
		s.envelope.FullName = fullName(account)
	}
	s.envelope.FullName = oneLine(s.envelope.FullName)
	return string(s.envelope.Sender), nil
}

// oneLine makes blanks of control characters: a name, which may come from the
// environment, must not keep mail from being sent, nor end its line.
func oneLine(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, name)
}

// fullName is the first part of the comment in passwd(5); '&' stands for the
// login name with a capital letter.
func fullName(u *user.User) string {
	name, _, _ := strings.Cut(u.Name, ",")
	if login := u.Username; login != "" {
		name = strings.ReplaceAll(name, "&", strings.ToUpper(login[:1])+login[1:])
	}
	return name
}

func (s *sendmail) setVERP(login string) error {
	v := &s.envelope.VERP
	if *v == "" {
		return nil
	}
	if *v == defaultVERP {
		*v = s.p.Common.VERPDelimiters
	}
	if !s.p.Common.VERPAllows(*v) {
		return fmt.Errorf("-V requires two characters from %s", s.p.Common.VERPAllowed)
	}
	if s.envelope.Sender == "" {
		return fmt.Errorf("%s(%d): -V option requires non-null sender address", login, os.Getuid())
	}
	return nil
}

var (
	errNoRecipient = errors.New("Recipient addresses must be specified on the command line or via the -t option")
	errNoneInside  = errors.New("No recipient addresses found in message header")
)

// send writes the message as postdrop reads it.
func (s *sendmail) send(d *postdrop) error {
	w := record.NewMaildropWriter(d)
	w.Submission(&s.envelope)
	for _, text := range s.recipients {
		list := parse(text)
		if len(list) == 0 && strings.Trim(text, " \t\"") == "" {
			list = []mail.Address{""}
		}
		for _, to := range list {
			w.Recipient(mail.Recipient{Address: to, Notify: s.notify})
		}
	}
	if w.Recipients() == 0 && !s.extract {
		return errNoRecipient
	}
	w.BeginContent()
	m := &messageReader{
		in: bufio.NewReaderSize(s.env.Stdin, max(s.p.Common.LineLengthLimit, minBuffer)), w: w,
		limit: s.p.Common.LineLengthLimit, endings: s.p.FixLineEndings, allDots: s.allDots, extract: s.extract,
	}
	if s.verify {
		s.probe(w)
	} else if err := m.read(); err != nil {
		return err
	}
	w.BeginExtracted()
	for _, to := range m.recipients() {
		w.Recipient(mail.Recipient{Address: to, Notify: s.notify})
	}
	if w.Recipients() == 0 {
		return errNoneInside
	}
	if err := w.End(); err != nil {
		if errors.Is(err, record.ErrEnvelopeText) {
			return err
		}
		return errWrite
	}
	return nil
}

// probe is the message of sendmail -bv.
func (s *sendmail) probe(w *record.Writer) {
	w.Line([]byte("From: " + string(s.envelope.Sender)))
	w.Line([]byte("Subject: probe"))
	if len(s.recipients) > 0 {
		// One line each, the first behind the name.
		to := "To:\t" + strings.Join(s.recipients, ",\n\t")
		for line := range strings.SplitSeq(to, "\n") {
			w.Line([]byte(line))
		}
	}
}

var errWrite = errors.New("queue file write error")

// postdrop is the running postdrop command.
type postdrop struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	id  mail.QueueID // of the file in maildrop
}

// startPostdrop starts it and waits until it is ready.
func (s *sendmail) startPostdrop() (*postdrop, error) {
	d := &postdrop{cmd: s.command("postdrop", "-r")}
	d.cmd.Stderr = s.env.Stderr
	in, err := d.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.in, d.out = in, bufio.NewReader(out)
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("unable to execute %s -r: %s", d.cmd.Path, errnoText(err))
	}
	hello, err := ipc.ReadAttributes(d.out)
	if err != nil || hello["protocol"] != "postdrop_protocol" {
		d.abort()
		return nil, fmt.Errorf("unable to execute %s -r: Application error", d.cmd.Path)
	}
	d.id = mail.QueueID(hello["queue_id"])
	return d, nil
}

// WriteAt implements io.WriterAt for a writer that writes in order.
func (d *postdrop) WriteAt(b []byte, _ int64) (int, error) { return d.in.Write(b) }

// abort lets postdrop find an unfinished message, which it forgets.
func (d *postdrop) abort() {
	d.in.Close()
	d.cmd.Wait()
}

// dropRefusal is why postdrop did not take a message: a bit of its answer, the
// text for it, and the codes that go with it in SMTP.
type dropRefusal struct {
	bit   int
	reply int
	code  string
	text  string
}

func (r *dropRefusal) Error() string { return r.text }

// dropRefusals are all refusals, most telling first.
var dropRefusals = []dropRefusal{
	{1, 451, "4.3.0", "internal protocol error"}, {2, 451, "4.3.0", "queue file write error"},
	{4, 552, "5.3.4", "message file too big"}, {8, 550, "5.7.1", "message content rejected"},
	{16, 554, "5.4.0", "too many hops"}, {64, 550, "5.1.0", "no recipients specified"},
	{256, 451, "4.7.1", "service unavailable"}, {512, 550, "5.7.1", "service denied"},
}

// finish reads the answer.
func (d *postdrop) finish() error {
	answer, err := ipc.ReadAttributes(d.out)
	d.in.Close()
	if e := d.cmd.Wait(); err == nil {
		err = e
	}
	status, bad := strconv.Atoi(answer["status"])
	switch {
	case err != nil || bad != nil:
		return errWrite
	case status == 0:
		return nil
	case answer["reason"] != "":
		return errors.New(answer["reason"])
	}
	for i := range dropRefusals {
		if r := &dropRefusals[i]; status&r.bit != 0 {
			return r
		}
	}
	return errWrite
}
