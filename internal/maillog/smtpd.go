package maillog

import (
	"strconv"
	"strings"

	"posthaste/internal/mail"
)

// The log lines of the SMTP server (Postfix smtpd(8)) that analysers read.
// client is `name[address]`; an empty id is shown as NOQUEUE.

// CommandCount says how often a command came, and how often with success.
type CommandCount struct {
	Name    string // lower case
	OK, All int
}

// ClientConnect tells of a new session.
func (l *Logger) ClientConnect(client string) { l.Later("connect from %s", client) }

// ClientDisconnect tells of the end of a session; counts are shown as name=ok,
// or name=ok/all when some failed, and their sum as commands=.
func (l *Logger) ClientDisconnect(client string, counts []CommandCount) {
	var b strings.Builder
	sum := CommandCount{Name: "commands"}
	add := func(c CommandCount) {
		b.WriteString(" " + c.Name + "=" + strconv.Itoa(c.OK))
		if c.OK != c.All {
			b.WriteString("/" + strconv.Itoa(c.All))
		}
	}
	for _, c := range counts {
		add(c)
		sum.OK += c.OK
		sum.All += c.All
	}
	add(sum)
	l.Later("disconnect from %s%s", client, b.String())
}

// ClientMessage tells which client a new message comes from.
func (l *Logger) ClientMessage(id mail.QueueID, client string) {
	l.Later("%s: client=%s", string(id), client)
}

// SessionBroken tells of a session that ended before its time: reason is
// `lost connection`, `timeout`, `too many errors`, …; after the last command;
// bytes, if not zero, how much content had arrived.
func (l *Logger) SessionBroken(id mail.QueueID, reason, after string, bytes int64, client string) {
	if bytes > 0 {
		after += " (" + strconv.FormatInt(bytes, 10) + " bytes)"
	}
	l.Info("%s: %s after %s from %s", orNoQueue(id), reason, after, client)
}

// EarlyInput tells of a client that sent more than it might; text is what it
// sent, already escaped.
func (l *Logger) EarlyInput(after, client, text string) {
	l.Info("improper command pipelining after %s from %s: %s", after, client, text)
}

// Policy is a decision of the SMTP server about a request.
type Policy struct {
	ID       mail.QueueID
	Kind     string // reject, reject_warning, hold, discard, warn, …
	Where    string // RCPT, …
	Client   string
	Text     string
	From, To *mail.Address // nil: not known yet
	Protocol string
	Helo     string
}

// ClientPolicy writes `ID: reject: RCPT from …: text; from=<…> to=<…> proto=…
// helo=<…>`.
func (l *Logger) ClientPolicy(p Policy) {
	tail := ";"
	if p.From != nil {
		tail += " from=<" + p.From.Quoted() + ">"
	}
	if p.To != nil {
		tail += " to=<" + p.To.Quoted() + ">"
	}
	tail += " proto=" + p.Protocol
	if p.Helo != "" {
		tail += " helo=<" + p.Helo + ">"
	}
	l.Info("%s: %s: %s from %s: %s%s", orNoQueue(p.ID), p.Kind, p.Where, p.Client, p.Text, tail)
}

func orNoQueue(id mail.QueueID) string {
	if id == "" {
		return "NOQUEUE"
	}
	return string(id)
}
