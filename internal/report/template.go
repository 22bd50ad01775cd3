package report

import (
	"strings"

	"posthaste/internal/mail"
)

// Template is the words of a notice (bounce(5)): who it is from, its subject,
// and the text for people.
type Template struct {
	Charset           string // of Text; us-ascii where the text was not changed
	From              string // as it stands in the header
	Subject           string
	PostmasterSubject string // empty: there are no copies for the postmaster
	Text              string // lines, with \n behind each
}

// usASCII is the character set of a template that names none.
const usASCII = "us-ascii"

// templateNames are the kinds by the names they have in a template file, in
// the order in which they are shown.
var templateNames = []struct {
	name string
	kind Kind
}{
	{"failure", Failure}, {"delay", Delay}, {"success", Success}, {"verify", Verify},
}

// Templates are the words of all notices.
type Templates map[Kind]Template

// DefaultTemplates are the built-in notices, not expanded. From and Subject are
// those that mail readers and bounce handlers know from Postfix. oldFrom makes
// the form of header_from_format = obsolete.
func DefaultTemplates(oldFrom bool) Templates {
	from := named("Mail Delivery System", "MAILER-DAEMON", oldFrom)
	base := func(subject, copy, text string) Template {
		return Template{
			Charset: usASCII, From: from, Subject: subject, PostmasterSubject: copy,
			Text: "This is the mail system at $myhostname.\n\n" + strings.TrimLeft(text, "\n"),
		}
	}
	return Templates{
		Failure: base("Undelivered Mail Returned to Sender", "Postmaster Copy: Undelivered Mail", `
Your message could not be delivered to the recipients listed below,
and no further attempt will be made. The reason stands behind each
address; the message, or its header, is attached.

If the reason does not tell you what to do, write to postmaster at
the address above and include this report.
`),
		Delay: base("Delayed Mail (still being retried)", "Postmaster Warning: Delayed Mail", `
THIS IS A WARNING ONLY. You need not send your message again.

After $delay_warning_time_hours hour(s) your message has not reached the
recipients listed below. Delivery goes on being tried until the message is
$maximal_queue_lifetime_days day(s) old.
`),
		Success: base("Successful Mail Delivery Report", "", `
As you asked for, this reports the delivery of your message to the
recipients listed below. Where it was handed to another mail system,
that system may still report a failure later.
`),
		Verify: base("Mail Delivery Status Report", "", `
This is the report on delivery that you asked for.
`),
	}
}

// String shows the templates as they stand in a template file (postconf -t).
func (t Templates) String() string {
	var b strings.Builder
	for i, n := range templateNames {
		if i > 0 {
			b.WriteByte('\n')
		}
		x := t[n.kind]
		b.WriteString(n.name + "_template = <<EOF\nCharset: " + x.Charset + "\nFrom: " + x.From + "\nSubject: " + x.Subject + "\n")
		if x.PostmasterSubject != "" {
			b.WriteString("Postmaster-Subject: " + x.PostmasterSubject + "\n")
		}
		b.WriteString("\n" + x.Text + "EOF\n")
	}
	return b.String()
}

// Texts shows the texts only (postconf -b).
func (t Templates) Texts() string {
	var b strings.Builder
	for i, n := range templateNames {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("expanded_" + n.name + "_text = <<EOF\n" + t[n.kind].Text + "EOF\n")
	}
	return b.String()
}

// Expand replaces $name in all texts by expand. What cannot be expanded becomes
// the built-in text, with a warning: somebody must be told of the mail now, not
// when the file is mended. file names the template file.
func (t Templates) Expand(file string, builtin Templates, expand func(string) (string, error), warn func(format string, args ...any)) {
	for _, n := range templateNames {
		x := t[n.kind]
		text, err := expand(x.Text)
		if err != nil {
			warn("%s: %s in %s template -- ignoring this template", file, err, n.name)
			x = builtin[n.kind]
			if text, err = expand(x.Text); err != nil {
				text = x.Text // a fault of main.cf that hides a name
			}
		}
		x.Text = text
		t[n.kind] = x
	}
}

// charset is what a notice names. Notices may hold UTF-8 where mail may.
func (t *Template) charset(utf8 bool) string {
	if utf8 && strings.EqualFold(t.Charset, usASCII) {
		return "utf-8"
	}
	return t.Charset
}

// is8Bit tells whether the text needs 8-bit transport.
func (t *Template) is8Bit() bool { return !mail.IsASCII(t.Text) }
