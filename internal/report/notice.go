package report

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"posthaste/internal/mail"
	"posthaste/internal/queue"
)

// notice is one notice about one message to one person.
type notice struct {
	kind        Kind
	subject     Subject
	entries     []queue.LogEntry
	from, to    mail.Address
	postmaster  bool
	headersOnly bool

	now      time.Time
	site     Site
	params   Params
	template Template

	out lines
	err error
}

// lines takes the text of a message.
type lines interface {
	Line(text []byte) error
	Fragment(part []byte) error
}

// dateFormat is the date of RFC 5322 with a two-digit day.
const dateFormat = "Mon, 02 Jan 2006 15:04:05 -0700 (MST)"

// write writes the whole notice: a multipart/report (RFC 6522) of text,
// delivery status and the message or its header.
func (n *notice) write(out lines) error {
	n.out = out
	boundary := fmt.Sprintf("%s.%d/%s", n.subject.ID, n.now.Unix(), n.site.Hostname)
	n.headers(boundary)
	n.line("")
	n.line("This is a MIME-encapsulated message.")
	n.line("")
	n.part(boundary, "Notification", "text/plain; charset="+n.template.charset(n.site.UTF8))
	n.text()
	n.part(boundary, "Delivery report", "message/"+n.global("delivery-status"))
	n.status()
	n.returned(boundary)
	n.line("")
	n.line("--%s--", boundary)
	return n.err
}

func (n *notice) line(format string, args ...any) {
	if n.err != nil {
		return
	}
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	n.err = n.out.Line([]byte(oneLine(text)))
}

// folded writes one logical line, folded.
func (n *notice) folded(format string, args ...any) {
	for l := range strings.SplitSeq(wrap(oneLine(fmt.Sprintf(format, args...)), noticeWidth), "\n") {
		n.line("%s", l)
	}
}

// oneLine keeps what comes from elsewhere on its line.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\r\n\x00") {
		return s
	}
	return strings.NewReplacer("\r", "?", "\n", "?", "\x00", "?").Replace(s)
}

// utf8 tells whether the notice is itself internationalised (RFC 6533).
func (n *notice) utf8() bool { return n.subject.Envelope.Options.NeedsSMTPUTF8() }

func (n *notice) global(plain string) string {
	if n.utf8() {
		return "global-" + plain
	}
	return plain
}

// encoding is that of all parts. Where mail may hold UTF-8 a reason may, too,
// and a message that was called 7bit is not always.
func (n *notice) encoding() string {
	if n.subject.Envelope.Encoding == mail.Encoding7Bit && !n.template.is8Bit() && !n.site.UTF8 {
		return "7bit"
	}
	return "8bit"
}

func (n *notice) headers(boundary string) {
	subject := n.template.Subject
	if n.postmaster {
		subject = n.template.PostmasterSubject
	}
	n.line("Date: %s", n.now.Format(dateFormat))
	n.line("From: %s", n.template.From)
	n.line("Subject: %s", subject)
	n.line("To: %s", n.to.Quoted())
	if id := n.subject.Envelope.MessageID; n.params.Threaded && id != "" {
		n.line("References: %s", id)
		n.line("In-Reply-To: %s", id)
	}
	n.line("Auto-Submitted: %s", map[bool]string{false: "auto-replied", true: "auto-generated"}[n.postmaster])
	n.line("MIME-Version: 1.0")
	n.line("Content-Type: multipart/report; report-type=%s;", n.global("delivery-status"))
	n.line("\tboundary=%q", boundary)
	n.line("Content-Transfer-Encoding: %s", n.encoding())
}

// isMessageID tells whether other messages may refer to an id: one word in angle
// brackets.
func isMessageID(id string) bool {
	inner, open := strings.CutPrefix(id, "<")
	inner, closed := strings.CutSuffix(inner, ">")
	return open && closed && inner != "" && !strings.ContainsFunc(inner, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' })
}

func (n *notice) part(boundary, description, contentType string) {
	n.line("--%s", boundary)
	n.line("Content-Description: %s", description)
	n.line("Content-Type: %s", contentType)
	if !strings.HasPrefix(contentType, "message/delivery-status") {
		n.line("Content-Transfer-Encoding: %s", n.encoding())
	}
	n.line("")
}

// text is the part for people. The words speak to the sender: the postmaster
// gets the reasons only.
func (n *notice) text() {
	if !n.postmaster {
		for l := range strings.SplitSeq(strings.TrimSuffix(n.template.Text, "\n"), "\n") {
			n.line("%s", l)
		}
	}
	n.line("")
	for _, e := range n.entries {
		expanded := ""
		if o := e.Recipient.Original; o != "" && !strings.EqualFold(string(o), string(e.Recipient.Address)) {
			expanded = " (expanded from <" + o.Quoted() + ">)"
		}
		n.folded("<%s>%s: %s", e.Recipient.Address.Quoted(), expanded, e.Status.Reason)
		n.line("")
	}
}

// actions are the words of the Action field (RFC 3464 section 2.3.3).
var actions = map[mail.Action]string{
	mail.Deferred: "delayed", mail.Bounced: "failed", mail.Delivered: "delivered", mail.Expanded: "expanded",
	mail.Relayed: "relayed", mail.Deliverable: "deliverable", mail.Undeliverable: "undeliverable",
	mail.Passed: "relayed",
}

// addressType is the type of an address in the status part (RFC 6533 section
// 3): one in plain ASCII is as it always was.
func (n *notice) addressType(a mail.Address) string {
	if n.utf8() && !mail.IsASCII(string(a)) {
		return "utf-8"
	}
	return "rfc822"
}

// sender is the sender of the message as a notice shows it: the field must not
// be empty when there is none.
func (n *notice) sender() mail.Address {
	if s := n.subject.Envelope.Sender; s != "" {
		return s
	}
	return n.site.mailDaemon()
}

// status is the part for programs (RFC 3464).
func (n *notice) status() {
	e := &n.subject.Envelope
	n.line("Reporting-MTA: dns; %s", n.site.Hostname)
	if e.EnvelopeID != "" {
		n.line("Original-Envelope-Id: %s", e.EnvelopeID)
	}
	n.line("X-%s-Queue-ID: %s", n.site.atom(), n.subject.ID)
	n.line("X-%s-Sender: %s; %s", n.site.atom(), n.addressType(e.Sender), n.sender().Quoted())
	n.line("Arrival-Date: %s", e.Arrival.Format(dateFormat))
	for i := range n.entries {
		n.recipient(&n.entries[i])
	}
	n.line("")
}

func (n *notice) recipient(r *queue.LogEntry) {
	n.line("")
	n.line("Final-Recipient: %s; %s", n.addressType(r.Recipient.Address), r.Recipient.Address.Quoted())
	switch {
	case r.Recipient.DSNOriginal != "":
		n.line("Original-Recipient: %s", r.Recipient.DSNOriginal)
	case r.Recipient.Original != "":
		n.line("Original-Recipient: %s;%s", n.addressType(r.Recipient.Original), r.Recipient.Original.Quoted())
	}
	action := actions[r.Status.Action]
	if n.kind == Failure {
		action = "failed" // what was deferred too long has failed
	}
	n.line("Action: %s", action)
	n.line("Status: %s", r.Status.Code)
	if r.Status.MTAType != "" && r.Status.MTAName != "" {
		n.line("Remote-MTA: %s; %s", r.Status.MTAType, r.Status.MTAName)
	}
	if r.Status.DiagType != "" && r.Status.DiagText != "" {
		n.folded("Diagnostic-Code: %s; %s", r.Status.DiagType, r.Status.DiagText)
	} else {
		n.folded("Diagnostic-Code: X-%s; %s", n.site.atom(), r.Status.Reason)
	}
	if n.kind == Delay {
		until := n.subject.Envelope.Created.Add(n.site.Lifetime)
		n.line("Will-Retry-Until: %s", until.Format(dateFormat))
	}
}

// returned is the message itself, or its header.
func (n *notice) returned(boundary string) {
	whole := n.kind == Failure && !n.headersOnly && n.subject.Envelope.Return != mail.ReturnHeaders &&
		(n.params.SizeLimit <= 0 || n.subject.Size <= n.params.SizeLimit)
	what := "Message"
	if n.kind == Failure || n.kind == Delay {
		what = "Undelivered Message"
	}
	switch {
	case whole && n.utf8():
		n.part(boundary, what, "message/global")
	case whole:
		n.part(boundary, what, "message/rfc822")
	case n.utf8():
		n.part(boundary, what+" Headers", "message/global-headers")
	default:
		n.part(boundary, what+" Headers", "text/rfc822-headers")
	}
	n.line("Return-Path: <%s>", n.sender().Quoted())
	n.copy(whole)
}

// copy copies the content, or only its header. What cannot be read is left out
// and said so: a damaged message must not keep its sender from being told.
func (n *notice) copy(whole bool) {
	r := n.subject.Content.Lines()
	defer r.Close()
	fresh := true
	for n.err == nil {
		text, complete, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			if !fresh {
				n.line("")
			}
			n.line("[The rest of the message cannot be read.]")
			return
		}
		if fresh && complete && len(text) == 0 && !whole {
			return
		}
		if complete {
			n.err = n.out.Line(text)
		} else {
			n.err = n.out.Fragment(text)
		}
		fresh = complete
	}
}
