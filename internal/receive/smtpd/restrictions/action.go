package restrictions

import (
	"strings"

	"posthaste/internal/config"
	"posthaste/internal/mail"
	"posthaste/internal/protocol/smtp"
)

// apply does what an access table entry says (access(5)).
func (l *lookup) apply(key, value string) result {
	if value == "" {
		l.e.c.deps.Log.Warning("access table %s entry %s has empty value", l.r.tab.Name, key)
		return l.e.misconfigured()
	}
	word, text, _ := strings.Cut(value, " ")
	text = strings.TrimSpace(text)
	if strings.Trim(value, "0123456789") == "" {
		return permit // a time stamp, as POP-before-SMTP writes it
	}
	if isReplyCode(word) {
		return l.refuseEntry(int(word[0]-'0')*100+int(word[1]-'0')*10+int(word[2]-'0'), text)
	}
	switch strings.ToUpper(word) {
	case "OK":
		return permit
	case "DUNNO":
		return dunno
	case "REJECT":
		return l.refuseEntry(l.e.c.p.AccessRejectCode, text)
	case "DEFER":
		return l.refuseEntry(l.e.c.p.AccessDeferCode, text)
	case "DEFER_IF_REJECT":
		return l.later(&l.e.deferIfReject, text)
	case "DEFER_IF_PERMIT":
		return l.later(&l.e.deferIfPermit, text)
	case "WARN":
		l.e.q.Report("warn", text)
		return dunno
	case "INFO":
		l.e.q.Report("info", text)
		return dunno
	case "HOLD", "DISCARD", "FILTER", "REDIRECT", "BCC", "PREPEND":
		return l.onMessage(strings.ToUpper(word), text)
	}
	return l.restrictions(key, value)
}

// isReplyCode tells whether s is a reply code that refuses.
func isReplyCode(s string) bool {
	return len(s) == 3 && (s[0] == '4' || s[0] == '5') && s[1] >= '0' && s[1] <= '9' && s[2] >= '0' && s[2] <= '9'
}

func (l *lookup) refuseEntry(code int, text string) result {
	enhanced, text := splitCode(text, "5.7.1")
	if text == "" {
		text = "Access denied"
	}
	return l.e.refuse(code, enhanced, l.sentence(text))
}

func (l *lookup) sentence(text string) string {
	return "<" + l.shown + ">: " + l.what + " rejected: " + text
}

func (l *lookup) later(slot **smtp.Reply, text string) result {
	enhanced, text := splitCode(text, "4.7.1")
	if text == "" {
		text = "Service unavailable"
	}
	code := l.e.c.p.AccessDeferCode
	if *slot == nil {
		*slot = &smtp.Reply{Code: code, Enhanced: fitClass(enhanced, code), Text: l.sentence(text)}
	}
	return dunno
}

// onMessage does the actions that change what becomes of the message.
func (l *lookup) onMessage(action, text string) result {
	q, a := l.e.q, l.e.q.Actions
	if q.Where == "ETRN" { // there is no message
		l.e.c.deps.Log.Warning("access table %s: action %s is unavailable in %s", l.r.tab.Name, action, l.e.list.parameter())
		return dunno
	}
	if a == nil || q.Where == "CONNECT" || q.Where == "HELO" || q.Where == "EHLO" {
		l.e.c.deps.Log.Warning("access table %s: with smtpd_delay_reject=no, action %s is always skipped in Client host or Helo command restrictions",
			l.r.tab.Name, action)
		return dunno
	}
	about := "<" + l.shown + ">: " + l.what + " triggers " + action
	switch action {
	case "HOLD", "DISCARD":
		return l.takeAway(action, text)
	case "FILTER":
		if text == "" {
			return l.skip("access table %s entry %q has FILTER entry without value")
		}
		if !strings.Contains(text, ":") {
			return l.skip("access table %s entry %q requires transport:destination")
		}
		a.Filter = text
	case "REDIRECT", "BCC":
		addr, err := smtp.ParsePath(text, false)
		if err != nil || addr.Local() == "" || addr.Domain() == "" {
			return l.skip("access table %s entry %q requires user@domain target")
		}
		if action == "BCC" {
			a.BCC = []mail.Address{addr}
		} else {
			a.Redirect = addr
		}
	case "PREPEND":
		return l.prepend(text)
	}
	q.Report(strings.ToLower(action), about+" "+text)
	return dunno
}

// takeAway does HOLD and DISCARD. Saying it twice changes nothing, nor does it to
// hold what will be discarded.
func (l *lookup) takeAway(action, text string) result {
	a := l.e.q.Actions
	done, res, known := &a.Hold, dunno, a.Hold || a.Discard
	if action == "DISCARD" {
		done, res, known = &a.Discard, permit, a.Discard
	}
	if known {
		return res
	}
	*done = true
	if text == "" {
		text = "triggers " + action + " action"
	}
	l.e.q.Report(strings.ToLower(action), "<"+l.shown+">: "+l.what+" "+text)
	return res
}

func (l *lookup) prepend(text string) result {
	if l.e.q.Where == "END-OF-MESSAGE" {
		l.e.c.deps.Log.Warning("access table %s: action PREPEND must be used before %s", l.r.tab.Name, l.e.list.parameter())
		return dunno
	}
	name, _, ok := strings.Cut(text, ":")
	if !ok || name == "" || strings.ContainsAny(name, " \t") || strings.ContainsAny(text, "\r\n\x00") {
		return l.skip("access table %s entry %q requires header: text")
	}
	l.e.q.Actions.Prepend = append(l.e.q.Actions.Prepend, text)
	return dunno
}

func (l *lookup) skip(format string) result {
	l.e.c.deps.Log.Warning(format, l.r.tab.Name, l.shown)
	return dunno
}

// restrictions evaluates a value that is a list of restrictions.
func (l *lookup) restrictions(key, value string) result {
	words := config.SplitList(value)
	for _, w := range words {
		if strings.Contains(w, ":") {
			l.e.c.deps.Log.Warning("access table %s has entry with lookup table: %s", l.r.tab.Name, value)
			l.e.c.deps.Log.Warning("do not specify lookup tables inside SMTPD access maps")
			l.e.c.deps.Log.Warning("define a restriction class and specify its name instead.")
			return l.e.misconfigured()
		}
	}
	return l.e.deeper(l.e.c.compile(l.e.list, words, l.e.depth), "access table "+l.r.tab.Name+" entry "+key)
}

// splitCode takes an enhanced status code (RFC 3463) off the front of text; def
// is returned when there is none.
func splitCode(text, def string) (code, rest string) {
	word, rest, _ := strings.Cut(text, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 || len(parts[0]) != 1 || !strings.Contains("245", parts[0]) {
		return def, text
	}
	for _, p := range parts[1:] {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return def, text
		}
	}
	return word, strings.TrimSpace(rest)
}
