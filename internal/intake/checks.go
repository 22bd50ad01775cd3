package intake

import (
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/table"
)

// checked tells whether content is still inspected.
func (m *Message) checked() bool {
	return !m.door.options.NoHeaderBodyChecks && !m.door.options.Internal && !m.passed && m.err == nil
}

// The classes of what is inspected, as the log has them.
const (
	classHeader = "header" // also of a part, or of a message within the message
	classBody   = "body"
)

// checkHeader inspects a logical header. It returns what to go on with; keep
// is false when the header goes away.
func (m *Message) checkHeader(head []byte) (_ []byte, keep bool) {
	return m.check(m.door.headerChecks, classHeader, head)
}

// checkBody inspects a piece of a body line.
func (m *Message) checkBody(line []byte) (_ []byte, keep bool) {
	return m.check(m.door.bodyChecks, classBody, line)
}

// check looks text up and does what header_checks(5) says for the result.
func (m *Message) check(maps *table.Maps, class string, text []byte) ([]byte, bool) {
	value, found, err := maps.Lookup(background, string(text))
	if err != nil {
		m.door.log.Warning("%s: %s map lookup problem -- message not accepted, try again later", m.ID(), maps.Title())
		m.fail(&mail.Error{Reply: 451, Code: "4.3.0", Text: "Error: queue file write error", Err: err})
		return text, true
	}
	if !found {
		return text, true
	}
	action, argument, _ := strings.Cut(value, " ")
	if i := strings.IndexByte(action, '\t'); i >= 0 {
		action, argument = value[:i], value[i+1:]
	}
	c := check{m: m, class: class, title: maps.Title(), text: text, argument: strings.TrimSpace(argument)}
	if text, keep, known := c.act(strings.ToUpper(action)); known {
		return text, keep
	}
	m.door.log.Warning("unknown command in %s map: %s", c.title, value)
	return text, true
}

// check is one result of a lookup in header_checks or body_checks.
type check struct {
	m        *Message
	class    string // header or body
	title    string // parameter, for warnings
	text     []byte // what was inspected
	argument string
}

// act does one action; see check. known is false when there is no such action.
func (c *check) act(action string) (text []byte, keep, known bool) {
	m := c.m
	switch action {
	case "DUNNO", "OK":
	case "IGNORE":
		return nil, false, true
	case "STRIP":
		c.log("strip", c.argument)
		return nil, false, true
	case "INFO":
		c.log("info", c.argument)
	case "WARN":
		c.log("warning", c.argument)
	case "PASS":
		c.log("pass", c.argument)
		m.passed = true
	case "HOLD":
		if !m.hold {
			c.log("hold", c.argument)
		}
		m.hold = true
	case "DISCARD":
		c.log("discard", c.argument)
		m.discard, m.passed = true, true
	case "REJECT":
		code, reason := splitCode("5.7.1", c.argument)
		if reason == "" {
			reason = "message content rejected"
		}
		m.refuse(c.class, c.text, code, reason)
	case "FILTER":
		c.filter()
	case "REDIRECT", "BCC":
		c.address(action)
	case "PREPEND":
		c.prepend()
	case "REPLACE":
		return c.replace(), true, true
	default:
		return nil, false, false
	}
	return c.text, true, true
}

func (c *check) filter() {
	if !strings.Contains(c.argument, ":") {
		c.m.door.log.Warning("bad FILTER command %s in %s -- need transport:destination", c.argument, c.title)
		return
	}
	c.m.filter = c.argument
	c.log("filter", c.argument)
}

// address does REDIRECT and BCC.
func (c *check) address(action string) {
	if !strings.Contains(c.argument, "@") {
		c.m.door.log.Warning("bad %s target \"%s\" in %s map -- need user@domain", action, c.argument, c.title)
		return
	}
	if action == "BCC" {
		c.m.bcc = append(c.m.bcc, mail.Address(c.argument))
	} else {
		c.m.redirect = mail.Address(c.argument)
		c.m.passed = true // who gets it then wants to see what it is
	}
	c.log(strings.ToLower(action), c.argument)
}

func (c *check) prepend() {
	switch {
	case c.argument == "":
		c.m.door.log.Warning("PREPEND action without text in %s map", c.title)
	case c.class != classBody && headerName([]byte(c.argument)) == 0:
		c.m.door.log.Warning("bad PREPEND header text \"%s\" in %s map -- need \"headername: headervalue\"", c.argument, c.title)
	default:
		c.log("prepend", c.argument)
		c.m.writeHeader([]byte(oneLine(c.argument)))
	}
}

func (c *check) replace() []byte {
	switch {
	case c.argument == "":
		c.m.door.log.Warning("REPLACE action without text in %s map", c.title)
	case c.class != classBody && headerName([]byte(c.argument)) == 0:
		c.m.door.log.Warning("bad REPLACE header text \"%s\" in %s map -- need \"headername: headervalue\"", c.argument, c.title)
	default:
		c.log("replace", c.argument)
		return []byte(oneLine(c.argument))
	}
	return c.text
}

// oneLine keeps $1 in an action from bringing in a line break, with which a
// sender could smuggle a header or an end of data (RFC 5321 section 2.3.8).
func oneLine(s string) string {
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
}

func (c *check) log(action, text string) { c.m.logCheck(action, c.class, c.text, text) }

// refuse rejects the message for its content.
func (m *Message) refuse(class string, text []byte, code, reason string) {
	m.logCheck("reject", class, text, code+" "+reason)
	m.rejected = m.rejected || m.err == nil
	reply := 550
	if code[0] == '4' {
		reply = 451
	}
	m.fail(&mail.Error{Reply: reply, Code: code, Text: reason})
}

// maxLogged is how much of a header or line is logged.
const maxLogged = 200

// logCheck logs what an inspection did, in the form of Postfix's cleanup(8).
func (m *Message) logCheck(action, class string, content []byte, text string) {
	if len(content) > maxLogged {
		content = content[:maxLogged]
	}
	l := &m.envelope.Origin.Logged
	var b strings.Builder
	b.WriteString(" from=<" + m.envelope.Sender.Quoted() + ">")
	if m.last != "" {
		b.WriteString(" to=<" + m.last.Quoted() + ">")
	}
	if l.Protocol != "" {
		b.WriteString(" proto=" + l.Protocol)
	}
	if l.Helo != "" {
		b.WriteString(" helo=<" + l.Helo + ">")
	}
	if text != "" {
		b.WriteString(": " + text)
	}
	m.door.log.Info("%s: %s: %s %s from %s;%s", m.ID(), action, class, string(content), m.client(), b.String())
}

// client is where the message comes from, for such lines.
func (m *Message) client() string {
	if l := &m.envelope.Origin.Logged; l.Name != "" || l.Address != "" {
		return l.Name + "[" + l.Address + "]"
	}
	return "local"
}

// splitCode cuts an enhanced status code off the front of a text.
func splitCode(otherwise, text string) (code, rest string) {
	first, rest, _ := strings.Cut(text, " ")
	if len(first) >= 5 && (first[0] == '4' || first[0] == '5') && first[1] == '.' &&
		strings.Count(first, ".") == 2 && strings.Trim(first, "0123456789.") == "" && first[len(first)-1] != '.' {
		return first, strings.TrimSpace(rest)
	}
	return otherwise, text
}
