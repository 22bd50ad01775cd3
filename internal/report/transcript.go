package report

import (
	"context"
	"fmt"
	"strings"
	"time"

	"posthaste/internal/mail"
)

// PostmasterParams are the main.cf parameters about what the postmaster is told.
type PostmasterParams struct {
	Classes         []string `cf:"notify_classes" default:"resource, software" doc:"Problems the postmaster is told of: bounce, 2bounce, delay, data, policy, protocol, resource, software."`
	BounceRecipient string   `cf:"bounce_notice_recipient" default:"postmaster" doc:"Who gets the postmaster's copies of non-delivery reports, and transcripts of sessions in which mail was refused for its recipient."`
	ErrorRecipient  string   `cf:"error_notice_recipient" default:"postmaster" doc:"Who gets transcripts of sessions with policy, resource, software, data or protocol errors."`
}

// Wanted are the classes the postmaster wants to be told of. The error names
// the word of notify_classes that is no class.
func (p *PostmasterParams) Wanted() (mail.Trouble, error) {
	t, err := mail.ParseTrouble(p.Classes)
	if err != nil {
		return 0, fmt.Errorf("bad value of notify_classes: %w", err)
	}
	return t, nil
}

// Transcript is a session with a peer in which something went wrong.
type Transcript struct {
	Program string       // who speaks: `SMTP server`, `SMTP client`, `LMTP client`
	Peer    string       // name[address], with the port where we are the client
	Trouble mail.Trouble // what went wrong, all of it
	Opening string       // a paragraph above the transcript; may be empty
	Lines   []string     // `In:  …` and `Out: …`
	Ending  string       // why the session was aborted, in one sentence; may be empty
	// Ends tells that the paragraph of Ending is there even when it is empty.
	Ends bool
}

// transcriptWidth is how long a line of a transcript may be.
const transcriptWidth = 78

// Transcripts sends transcripts to the postmaster. It is safe for concurrent
// use.
type Transcripts struct {
	Params PostmasterParams
	Site   Site
	Open   func(ctx context.Context, e mail.Envelope) (Message, error)
	Now    func() time.Time
}

// Send sends one transcript.
func (s *Transcripts) Send(ctx context.Context, t Transcript) error {
	now := s.Now()
	m, err := s.Open(ctx, mail.Envelope{
		Sender:  s.Site.doubleBounce(),
		Arrival: now, Created: now.Truncate(time.Second),
	})
	if err != nil {
		return fmt.Errorf("transcript for the postmaster: %w", err)
	}
	defer m.Discard()
	to := mail.Address(s.Params.ErrorRecipient)
	if t.Trouble&mail.TroubleBounce != 0 {
		to = mail.Address(s.Params.BounceRecipient)
	}
	err = m.Recipient(ctx, mail.Recipient{Address: to, Original: to})
	for _, line := range s.text(&t, now) {
		if err == nil {
			err = m.Line([]byte(printable(line)))
		}
	}
	if err == nil {
		err = m.Commit(ctx)
	}
	if err != nil {
		return fmt.Errorf("transcript for the postmaster: %w", err)
	}
	return nil
}

// text is the message, line by line. Its To header names who is told of errors
// in any case, as in Postfix.
func (s *Transcripts) text(t *Transcript, now time.Time) []string {
	lines := []string{
		"Date: " + now.Format(dateFormat),
		"From: " + named("Mail Delivery System", "MAILER-DAEMON", s.Site.OldFrom),
		"To: " + named("Postmaster", s.Params.ErrorRecipient, s.Site.OldFrom),
		"Subject: " + s.Site.MailName + " " + t.Program + ": errors from " + t.Peer,
		"",
	}
	if t.Opening != "" {
		lines = append(lines, t.Opening, "")
	}
	lines = append(lines, "Transcript of session follows.", "")
	for _, l := range t.Lines {
		for piece := range strings.SplitSeq(wrap(printable(l), transcriptWidth), "\n") {
			lines = append(lines, " "+piece)
		}
	}
	lines = append(lines, "")
	if t.Ends {
		lines = append(lines, t.Ending)
		if t.Ending != "" {
			lines = append(lines, "")
		}
	}
	return append(lines, "For other details, see the local mail logfile")
}

// named is an address with a name, in the form of header_from_format. The door
// completes the address.
func named(name, address string, old bool) string {
	if old {
		return address + " (" + name + ")"
	}
	return name + " <" + address + ">"
}

// printable puts ? for what would do harm on a terminal. UTF-8 stays.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
