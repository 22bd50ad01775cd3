package report

import "strings"

// Template is the words of a notice (bounce(5)): who it is from, its subject,
// and the text in which $name stands for a main.cf parameter.
type Template struct {
	Charset           string
	From              string
	Subject           string
	PostmasterSubject string
	Text              string
}

// DefaultTemplates are the built-in notices. From and Subject are those that
// mail readers and bounce handlers know from Postfix.
func DefaultTemplates() map[Kind]Template {
	base := func(subject, copy, text string) Template {
		return Template{
			Charset: "utf-8", From: "MAILER-DAEMON (Mail Delivery System)",
			Subject: subject, PostmasterSubject: copy,
			Text: "This is the mail system at $myhostname.\n\n" + strings.TrimLeft(text, "\n"),
		}
	}
	return map[Kind]Template{
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
		Cleared: base("Delayed Mail (now delivered)", "Postmaster Notice: Delayed Mail Delivered", `
You were told that your message was late. It has now been delivered.
`),
		Success: base("Successful Mail Delivery Report", "Postmaster Copy: Mail Delivery Report", `
As you asked for, this reports the delivery of your message to the
recipients listed below. Where it was handed to another mail system,
that system may still report a failure later.
`),
		Verify: base("Mail Delivery Status Report", "Postmaster Copy: Mail Delivery Status Report", `
This is the report on delivery that you asked for. No mail was
delivered.
`),
	}
}

// expand replaces $name and ${name} in a template's text; $$ is a dollar sign.
func expand(text string, value func(name string) string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if strings.HasPrefix(after, "$") {
			b.WriteByte('$')
			text = after[1:]
			continue
		}
		name, rest := cutName(after)
		if name == "" {
			b.WriteByte('$')
		} else {
			b.WriteString(value(name))
		}
		text = rest
	}
}

func cutName(s string) (name, rest string) {
	if inner, ok := strings.CutPrefix(s, "{"); ok {
		if name, rest, ok = strings.Cut(inner, "}"); ok {
			return name, rest
		}
		return "", s
	}
	i := 0
	for i < len(s) && (s[i] == '_' || s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z') {
		i++
	}
	return s[:i], s[i:]
}
