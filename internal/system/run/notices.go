package run

import (
	"context"
	"strconv"
	"strings"
	"time"

	"posthaste/internal/config"
	"posthaste/internal/intake"
	"posthaste/internal/mail"
	"posthaste/internal/queue"
	"posthaste/internal/receive/pickup"
	"posthaste/internal/report"
	"posthaste/internal/schedule"
	"posthaste/internal/system/host"
)

// notices turns what the scheduler and pickup want to tell into reports.
type notices struct{ reporter *report.Reporter }

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
	internal := d.with(intake.Options{Internal: true})
	site := r.site()
	site.Text = func(name string) string { return noticeText(r.snap, p.catalog, name) }
	reporter, err := report.New(params, site, report.Deps{
		Open: func(ctx context.Context, e mail.Envelope) (report.Message, error) {
			return asNotice(internal.open(ctx, e))
		},
		ReadLog: q.ReadLog, Log: r.log, Now: time.Now,
	}, report.DefaultTemplates())
	if err != nil {
		return nil, r.fault(err)
	}
	return &notices{reporter}, nil
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
		DoubleBounce: r.common.DoubleBounceSender,
	}
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

// noticeUnits are the endings by which a template asks for a time (bounce(5)).
var noticeUnits = []struct {
	suffix string
	unit   time.Duration
}{
	{"_seconds", time.Second}, {"_minutes", time.Minute}, {"_hours", time.Hour},
	{"_days", 24 * time.Hour}, {"_weeks", 7 * 24 * time.Hour},
}

// noticeText is the value of a parameter as a notice shows it. A time is
// written as Go writes it, `name_hours` and the like in whole units.
func noticeText(snap *config.Snapshot, catalog *config.Catalog, name string) string {
	for _, u := range noticeUnits {
		if base, ok := strings.CutSuffix(name, u.suffix); ok {
			if d, ok := timeValue(snap, catalog, base); ok {
				return strconv.FormatInt(int64(d/u.unit), 10)
			}
		}
	}
	if d, ok := timeValue(snap, catalog, name); ok {
		return d.String()
	}
	text, _ := snap.Get(name)
	return text
}

func timeValue(snap *config.Snapshot, catalog *config.Catalog, name string) (time.Duration, bool) {
	p, known := catalog.Get(name)
	unit := p.Unit
	switch {
	case name == "delay_warning_time":
		unit = "h" // a text for those who compute with it
	case !known || p.Kind != config.Duration:
		return 0, false
	}
	text, _ := snap.Get(name)
	d, err := config.ParseDuration(text, unit)
	return d, err == nil
}

// kinds of notices in the words of package report.
var noticeKinds = map[schedule.NoticeKind]report.Kind{
	schedule.NoticeBounce: report.Failure, schedule.NoticeExpired: report.Failure,
	schedule.NoticeDelay: report.Delay, schedule.NoticeDelayCleared: report.Cleared,
	schedule.NoticeTrace: report.Success,
}

// Notify implements schedule.Notifier.
func (n *notices) Notify(ctx context.Context, notice schedule.Notice) error {
	kind, found := noticeKinds[notice.Kind]
	if !found {
		return nil // results of address probes: nobody asks for any
	}
	if kind == report.Success && notice.Envelope.Trace&mail.TraceVerify != 0 {
		kind = report.Verify
	}
	return n.reporter.Notify(ctx, kind, report.Subject{
		ID: notice.ID, Envelope: notice.Envelope, Size: notice.Size, Content: notice.Content, Log: notice.Log,
	})
}

// reject tells the sender of a submission that it was refused.
func (n *notices) reject(ctx context.Context, r pickup.Rejected) error {
	var entries []queue.LogEntry
	for _, rcpt := range r.Recipients {
		entries = append(entries, queue.LogEntry{Recipient: rcpt, Status: r.Reason.Status()})
	}
	return n.reporter.Tell(ctx, report.Failure, report.Subject{
		ID: r.ID, Envelope: r.Envelope, Size: r.Content.Length, Content: r.Content,
	}, entries)
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
			m, err := d.with(intake.Options{UserID: e.Origin.UserID}).open(ctx, e)
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
