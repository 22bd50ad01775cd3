package intake

import (
	"mime"
	"strings"

	"posthaste/internal/mail"
)

// endHeaders adds what the message header lacks, for local clients or with
// always_add_missing_headers, and turns to the body.
func (m *Message) endHeaders() {
	m.stage = inBody
	p := &m.door.params
	add := m.rewrites() || p.AlwaysAddMissing
	if m.err != nil || m.discard {
		return
	}
	date, from, id, prefix := seenDate, seenFrom, seenMessageID, ""
	if m.resent {
		date, from, id, prefix = seenResentDate, seenResentFrom, seenResentMessageID, "Resent-"
	}
	if add && m.present&id == 0 {
		m.addMessageID(prefix, id)
	}
	if m.present&seenMessageID == 0 {
		m.door.log.Info("%s: message-id=<>", m.ID())
	}
	if add && m.present&date == 0 {
		m.writeLine(appendDate([]byte(prefix+"Date: "), m.envelope.Arrival))
	}
	if add && m.present&from == 0 {
		m.writeLine([]byte(prefix + "From: " + m.fromValue()))
	}
	const visible = seenTo | seenCc | seenResentTo | seenResentCc
	if add && p.UndisclosedHeader != "" && m.present&visible == 0 {
		m.writeLine([]byte(p.UndisclosedHeader))
	}
}

// addMessageID makes a Message-ID out of the queue id; a short queue id can
// come again, so the time stands before it.
func (m *Message) addMessageID(prefix string, which present) {
	id := string(m.ID()) + "@" + m.door.params.Common.MyHostname
	if !m.door.params.Common.LongQueueIDs {
		id = m.envelope.Arrival.UTC().Format("20060102150405") + "." + id
	}
	m.writeLine([]byte(prefix + "Message-Id: <" + id + ">"))
	m.door.log.Info("%s: %smessage-id=<%s>", m.ID(), strings.ToLower(prefix), id)
	m.present |= which
	if which == seenMessageID {
		m.envelope.MessageID = "<" + id + ">"
	}
}

// fromValue is the From header for the envelope sender, with the full name of
// the user who posted the message.
func (m *Message) fromValue() string {
	sender := m.envelope.Sender
	if sender == "" {
		return "MAILER-DAEMON"
	}
	a := sender.Quoted()
	name := strings.Join(strings.Fields(m.envelope.FullName), " ")
	switch {
	case name == "":
		return a
	case m.door.params.FromFormat == "obsolete":
		return a + " (" + m.encodeName(name, commentText) + ")"
	}
	return m.encodeName(name, phraseText) + " <" + a + ">"
}

// encodeName writes a name that is not ASCII as encoded words (RFC 2047),
// and others as the given function does.
func (m *Message) encodeName(name string, plain func(string) string) string {
	if charset := m.door.params.FullNameCharset; charset != "" && !mail.IsASCII(name) {
		return mime.QEncoding.Encode(charset, name)
	}
	return plain(name)
}

// phraseText quotes a name that is not made of atoms and blanks.
func phraseText(name string) string {
	if strings.ContainsAny(name, `()<>@,;:\".[]!`) {
		return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(name) + `"`
	}
	return name
}

func commentText(name string) string {
	return strings.NewReplacer("(", `\(`, ")", `\)`, `\`, `\\`).Replace(name)
}
