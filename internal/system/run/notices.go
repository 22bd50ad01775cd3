package run

import (
	"context"
	"maps"
	"strings"
	"time"

	"posthaste/internal/config"
	"posthaste/internal/intake"
	"posthaste/internal/mail"
	"posthaste/internal/maillog"
	"posthaste/internal/queue"
	"posthaste/internal/receive/pickup"
	"posthaste/internal/report"
	"posthaste/internal/schedule"
	"posthaste/internal/system/host"
)

// notices turns what the scheduler and pickup want to tell into reports.
type notices struct {
	reporter *report.Reporter
	cleanup  *maillog.Logger
}

// newNotices makes the reporter that the bounce row describes.
func (p *process) newNotices(q *queue.Queue, d *door) (*notices, error) {
	r, err := p.find("bounce")
	if err != nil {
		return nil, err
	}
	var params report.Params
	if err := r.snap.Bind(&params); err != nil {
		return nil, err
	}
	internal := d.with(intake.Options{Internal: true, Class: "bounce"})
	reporter, err := report.New(params, r.site(), report.Deps{
		Open: func(ctx context.Context, e mail.Envelope) (report.Message, error) {
			return asNotice(internal.open(ctx, e))
		},
		ReadLog: q.ReadLog, Log: r.log, Now: time.Now,
	}, templates(r.snap, params.TemplateFile, r.log.Warning))
	if err != nil {
		return nil, r.fault(err)
	}
	cleanup, err := p.find("cleanup")
	if err != nil {
		return nil, err
	}
	return &notices{reporter, cleanup.log}, nil
}

// asNotice is a message of the door in the words of report, or no message.
func asNotice(m *message, err error) (report.Message, error) {
	if err != nil {
		return nil, err // not a nil *message in an interface
	}
	return m, nil
}

// site is what a notice says of this system.
func (r *row) site() report.Site {
	return report.Site{
		Hostname: r.common.MyHostname, MailName: r.common.MailName, Origin: r.common.MyOrigin,
		DoubleBounce: r.common.DoubleBounceSender, UTF8: r.common.SMTPUTF8Enable, OldFrom: oldFrom(r.snap),
		Lifetime: r.duration("maximal_queue_lifetime", "d"),
	}
}

// duration is the value of a parameter; it was checked when main.cf was read.
func (r *row) duration(name, unit string) time.Duration {
	text, _ := r.snap.Get(name)
	d, _ := config.ParseDuration(text, unit)
	return d
}

// oldFrom tells whether header_from_format is obsolete.
func oldFrom(snap *config.Snapshot) bool {
	form, _ := snap.Get("header_from_format")
	return form == "obsolete"
}

// templates are the words of notices, from file if there is one. warn is told
// what is wrong with it.
func templates(snap *config.Snapshot, file string, warn func(format string, args ...any)) report.Templates {
	builtin := report.DefaultTemplates(oldFrom(snap))
	t := maps.Clone(builtin)
	if file != "" {
		if err := t.ReadFile(file, warn); err != nil {
			warn("%s; the built-in templates are used", err)
			t = maps.Clone(builtin)
		}
	} else {
		file = "[built-in]"
	}
	t.Expand(file, builtin, report.Expander(snap, file, warn), warn)
	return t
}

// postmaster sends transcripts of sessions, and knows which are wanted.
type postmaster struct {
	report.Transcripts
	wanted mail.Trouble
}

// postmaster makes it for a row; open begins a message.
func (r *row) postmaster(open func(context.Context, mail.Envelope) (report.Message, error)) (*postmaster, error) {
	p := &postmaster{Transcripts: report.Transcripts{Site: r.site(), Open: open, Now: time.Now}}
	err := r.snap.Bind(&p.Params)
	if err == nil {
		p.wanted, err = p.Params.Wanted()
	}
	return p, err
}

// kinds of notices in the words of package report.
var noticeKinds = map[schedule.NoticeKind]report.Kind{
	schedule.NoticeBounce: report.Failure, schedule.NoticeExpired: report.Failure,
	schedule.NoticeDelay: report.Delay, schedule.NoticeDelayCleared: report.Cleared,
	schedule.NoticeTrace: report.Success, schedule.NoticeVerify: report.Verify,
}

// Notify implements schedule.Notifier.
func (n *notices) Notify(ctx context.Context, notice schedule.Notice) error {
	kind, found := noticeKinds[notice.Kind]
	if !found {
		return nil // results of address probes: nobody asks for any
	}
	if notice.Envelope.Trace&mail.TraceRecord != 0 && (kind == report.Success || kind == report.Cleared) {
		kind = report.Verify // sendmail -v
	}
	return n.reporter.Notify(ctx, kind, report.Subject{
		ID: notice.ID, Envelope: notice.Envelope, Size: notice.Size, Content: notice.Content, Log: notice.Log,
	})
}

// reject logs that a submission was refused, and tells its sender.
func (n *notices) reject(ctx context.Context, r pickup.Rejected) error {
	var entries []queue.LogEntry
	st := r.Reason.Status()
	st.Reason = strings.TrimPrefix(st.Reason, "Error: ") // that is for SMTP clients
	for _, rcpt := range r.Recipients {
		entries = append(entries, queue.LogEntry{Recipient: rcpt, Status: st})
	}
	err := n.reporter.Tell(ctx, report.Failure, report.Subject{
		ID: r.ID, Envelope: r.Envelope, Size: r.Content.Length, Content: r.Content,
	}, entries)
	if err != nil {
		return err // it is done again, and is logged then
	}
	age := max(0, time.Since(r.Envelope.Arrival))
	for _, e := range entries {
		n.cleanup.Delivery(r.ID, e.Recipient, st, maillog.Delays{Total: age, Before: age})
	}
	return nil
}

// pickupInterval is how often maildrop is looked at when the row has no
// wakeup time.
const pickupInterval = time.Minute

// pickup makes the part that takes in what local users submit, and a function
// that makes it look at once.
func (p *process) pickup(q *queue.Queue, d *door, n *notices) (host.Part, func(), error) {
	r, err := p.find("pickup")
	if err != nil {
		return host.Part{}, nil, err
	}
	s := pickup.New(pickup.Deps{
		Queue: q,
		Open: func(ctx context.Context, e mail.Envelope) (pickup.Message, error) {
			m, err := d.with(intake.Options{UserID: e.Origin.UserID, Class: "sendmail", KeepRecipients: true}).open(ctx, e)
			if err != nil {
				return nil, err
			}
			return m, nil
		},
		Reject: n.reject, Trusted: ownUser, Log: r.log, Now: time.Now,
	})
	interval := r.Wakeup
	if interval <= 0 {
		interval = pickupInterval
	}
	part := host.Part{Name: "pickup", Serve: func(ctx context.Context) error {
		s.Serve(ctx, interval)
		return nil
	}}
	return part, s.Wake, nil
}
