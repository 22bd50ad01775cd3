// Package report turns recorded delivery results into notices for people: the
// non-delivery report, the delay warning, the success report, and the copies
// for the postmaster (bounce(8), RFC 3464). A notice is a new message and
// enters by the one door, like any other. The package reads the message logs
// and the content of the message it reports on; it writes neither.
package report

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/queue/record"
)

// Params are the main.cf parameters of notices.
type Params struct {
	PostmasterParams
	SizeLimit       int64  `cf:"bounce_size_limit" default:"50000" unit:"bytes" doc:"Larger messages are returned without their body."`
	DoubleRecipient string `cf:"2bounce_notice_recipient" default:"postmaster" doc:"Who gets reports that could not be delivered to their sender."`
	DisableVERP     bool   `cf:"disable_verp_bounces" default:"no" doc:"One report for all recipients of VERP mail, instead of one each."`
	DelayRecipient  string `cf:"delay_notice_recipient" default:"postmaster" doc:"Who gets the postmaster's copies of delay warnings."`
	TemplateFile    string `cf:"bounce_template_file" default:"" doc:"File with the words of notices (bounce(5)); empty: built-in words."`
	Threaded        bool   `cf:"enable_threaded_bounces" default:"no" doc:"Refer to the original Message-ID, so that mail readers show the notice below the message."`
}

// Site is what a notice says of this system.
type Site struct {
	Hostname     string        // myhostname
	MailName     string        // mail_name
	Origin       string        // myorigin
	DoubleBounce string        // double_bounce_sender
	UTF8         bool          // smtputf8_enable
	OldFrom      bool          // header_from_format = obsolete
	Lifetime     time.Duration // maximal_queue_lifetime
}

// doubleBounce is the sender of what goes to the postmaster: nothing is sent
// back to it.
func (s *Site) doubleBounce() mail.Address { return mail.Address(s.DoubleBounce + "@" + s.Hostname) }

// mailDaemon stands for the sender of mail from nobody.
func (s *Site) mailDaemon() mail.Address { return mail.Address("MAILER-DAEMON@" + s.Hostname) }

// atom is MailName as a part of a field name, and as an atom of RFC 5322.
func (s *Site) atom() string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || strings.ContainsRune("()<>@,;:\\\".[]", r) {
			return '-'
		}
		return r
	}, s.MailName)
}

// Message is a notice on its way in.
type Message interface {
	ID() mail.QueueID
	Recipient(ctx context.Context, r mail.Recipient) error
	Line(text []byte) error
	Fragment(part []byte) error
	Commit(ctx context.Context) error
	Discard()
}

// Deps are what the notices need from others; all are safe for concurrent use.
type Deps struct {
	Open    func(ctx context.Context, e mail.Envelope) (Message, error) // the one door
	ReadLog func(kind queue.Name, id mail.QueueID) ([]queue.LogEntry, error)
	Log     Log
	Now     func() time.Time
}

// Log is the operator's log.
type Log interface {
	Info(format string, args ...any)
	Warning(format string, args ...any)
}

// Kind is what a notice is about.
type Kind uint8

// The kinds of notices.
const (
	Failure Kind = iota // recipients failed for good
	Delay               // recipients are late
	Cleared             // Success, and those are told as well who were told of a delay
	Success             // delivery was to be reported
	Verify              // sendmail -bv: delivery was only tried out
)

// Subject is the message a notice is about.
type Subject struct {
	ID       mail.QueueID
	Envelope mail.Envelope
	Size     int64
	Content  record.Content
	Log      queue.Name // where its recipients and their results are
}

// Reporter makes notices. It is safe for concurrent use.
type Reporter struct {
	params    Params
	site      Site
	deps      Deps
	templates Templates
	wanted    mail.Trouble // by the postmaster
}

// New makes a Reporter with the given templates, whose texts are expanded. The
// error names the parameter that is wrong.
func New(p Params, s Site, d Deps, templates Templates) (*Reporter, error) {
	wanted, err := p.Wanted()
	if err != nil {
		return nil, err
	}
	return &Reporter{params: p, site: s, deps: d, templates: templates, wanted: wanted}, nil
}

// Notify sends the notices about a message: to its sender, or when there is no
// sender to the postmaster, as notify_classes says, and copies. It returns nil
// when all are durably queued or nobody wants any; the caller may then forget
// the results. Otherwise it is called again later.
func (r *Reporter) Notify(ctx context.Context, k Kind, s Subject) error {
	entries, err := r.deps.ReadLog(s.Log, s.ID)
	if err != nil {
		return fmt.Errorf("%s: read %s log: %w", s.ID, s.Log, err)
	}
	return r.Tell(ctx, k, s, entries)
}

// Tell is Notify with the results given, for a message that has no log.
func (r *Reporter) Tell(ctx context.Context, k Kind, s Subject, entries []queue.LogEntry) error {
	wanted := slices.DeleteFunc(slices.Clone(entries), func(e queue.LogEntry) bool {
		return !wants(k, e, s.Envelope.Trace)
	})
	double := r.site.doubleBounce()
	switch {
	case strings.EqualFold(string(s.Envelope.Sender), string(double)) || string(s.Envelope.Sender) == r.site.DoubleBounce:
		switch k {
		case Failure:
			r.deps.Log.Warning("%s: undeliverable postmaster notification discarded", s.ID)
		case Success, Cleared, Verify:
			r.deps.Log.Info("%s: not sending trace/success notification for double-bounce message", s.ID)
		}
		return nil
	case s.Envelope.Sender == "":
		return r.tellOfNobody(ctx, k, s, entries, double)
	case k == Failure && s.Envelope.VERP != "" && !r.params.DisableVERP:
		return r.tellEach(ctx, s, entries, double)
	case len(wanted) > 0:
		if err := r.send(ctx, notice{kind: k, subject: s, entries: wanted, to: s.Envelope.Sender}); err != nil {
			return err
		}
	}
	return r.copies(ctx, k, s, entries, double)
}

// tellOfNobody tells the postmaster about mail that has no sender: of failures
// as of those of other mail, when one of the two classes is wanted, of success
// when reports that cannot be delivered are. Its delays are nobody's concern.
func (r *Reporter) tellOfNobody(ctx context.Context, k Kind, s Subject, entries []queue.LogEntry, double mail.Address) error {
	n := notice{kind: k, subject: s, entries: entries, from: double, to: mail.Address(r.params.DoubleRecipient)}
	switch {
	case k == Delay:
		return nil
	case k == Failure:
		n.postmaster = true
		if len(entries) == 0 || r.wanted&(mail.TroubleDoubleBounce|mail.TroubleBounce) == 0 {
			return nil
		}
		return r.send(ctx, n)
	case r.wanted&mail.TroubleDoubleBounce == 0:
		r.deps.Log.Info("%s: not sending trace/success notification for single-bounce message", s.ID)
		return nil
	}
	if k == Cleared { // nobody was told of the delay
		n.kind = Success
		n.entries = slices.DeleteFunc(slices.Clone(entries), func(e queue.LogEntry) bool {
			return !wants(Success, e, s.Envelope.Trace)
		})
	}
	if len(n.entries) == 0 {
		return nil
	}
	return r.send(ctx, n)
}

// tellEach sends a report of its own for each recipient of VERP mail, to the
// address that names the recipient.
func (r *Reporter) tellEach(ctx context.Context, s Subject, entries []queue.LogEntry, double mail.Address) error {
	for i, e := range entries {
		one := entries[i : i+1]
		if wants(Failure, e, s.Envelope.Trace) {
			to := s.Envelope.Sender.VERP(s.Envelope.VERP, e.Recipient)
			if err := r.send(ctx, notice{kind: Failure, subject: s, entries: one, to: to}); err != nil {
				return err
			}
		}
		if err := r.copies(ctx, Failure, s, one, double); err != nil {
			return err
		}
	}
	return nil
}

// copies sends the postmaster's copies.
func (r *Reporter) copies(ctx context.Context, k Kind, s Subject, entries []queue.LogEntry, double mail.Address) error {
	n := notice{kind: k, subject: s, entries: entries, from: double, postmaster: true, headersOnly: true}
	switch {
	case len(entries) == 0:
		return nil
	case k == Failure && r.wanted&mail.TroubleBounce != 0:
		n.to = mail.Address(r.params.BounceRecipient)
	case k == Delay && r.wanted&mail.TroubleDelay != 0:
		n.to = mail.Address(r.params.DelayRecipient)
	default:
		return nil
	}
	return r.send(ctx, n)
}

// wants tells whether the sender wants to hear of this result (RFC 3461
// section 4.1). Without NOTIFY, failures and delays are reported, successes not.
func wants(k Kind, e queue.LogEntry, trace mail.Trace) bool {
	n := e.Recipient.Notify
	switch k {
	case Failure:
		return n == 0 || n&mail.NotifyFailure != 0
	case Delay:
		return n == 0 || n&mail.NotifyDelay != 0
	case Cleared:
		return trace != 0 || n == 0 || n&(mail.NotifyDelay|mail.NotifySuccess) != 0
	case Success:
		return trace != 0 || n&mail.NotifySuccess != 0
	}
	return true
}

// logNames are the words of the log line that links a notice to its message.
var logNames = map[Kind]string{
	Failure: "non-delivery", Delay: "delay", Cleared: "delivery status", Success: "delivery status", Verify: "delivery status",
}

// send writes one notice and queues it.
func (r *Reporter) send(ctx context.Context, n notice) error {
	now := r.deps.Now()
	if id := n.subject.Envelope.MessageID; r.params.Threaded && id != "" && !isMessageID(id) {
		n.subject.Envelope.MessageID = ""
		if !n.postmaster { // said once
			r.deps.Log.Warning("%s: ignoring malformed Message-ID", n.subject.ID)
		}
	}
	e := mail.Envelope{Sender: n.from, Arrival: now, Created: now.Truncate(time.Second),
		Options: n.subject.Envelope.Options & (mail.OptionSMTPUTF8 | mail.OptionRequireTLS)}
	m, err := r.deps.Open(ctx, e)
	if err != nil {
		return fmt.Errorf("%s: notice: %w", n.subject.ID, err)
	}
	defer m.Discard()
	if err := m.Recipient(ctx, mail.Recipient{Address: n.to, Original: n.to}); err != nil {
		return fmt.Errorf("%s: notice: %w", n.subject.ID, err)
	}
	words := n.kind
	if words == Cleared {
		words = Success
	}
	n.now, n.site, n.params, n.template = now, r.site, r.params, r.templates[words]
	if err := n.write(m); err != nil {
		return fmt.Errorf("%s: notice: %w", n.subject.ID, err)
	}
	if err := m.Commit(ctx); err != nil {
		return fmt.Errorf("%s: notice: %w", n.subject.ID, err)
	}
	who := "sender"
	if n.postmaster {
		who = "postmaster"
	}
	r.deps.Log.Info("%s: %s %s notification: %s", n.subject.ID, who, logNames[n.kind], m.ID())
	return nil
}
