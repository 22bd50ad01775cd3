// Package fail is error(8) and retry(8): it delivers nothing and gives every
// recipient the text of the next hop as the reason. It touches nothing.
package fail

import (
	"context"
	"strings"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
)

// Agent bounces or defers every recipient. The service called `retry` defers,
// any other bounces.
type Agent struct{}

// Deliver implements deliver.Agent.
func (Agent) Deliver(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
	class, st := byte('5'), mail.Status{Action: mail.Bounced, Code: "5.0.0"}
	if r.Service == "retry" {
		class, st = '4', mail.Status{Code: "4.0.0"}
	}
	code, text := SplitCode(r.Nexthop)
	if text == "" {
		text = "Address is undeliverable"
	}
	// A code of the other class would contradict what is done.
	if code != "" && code[0] == class {
		st.Code = code
	}
	st.Reason, st.Relay = text, "none"
	if !r.Envelope.Trace.Delivers() {
		st.Action = mail.Undeliverable
	}
	for i := range r.Recipients {
		done(mail.RecipientIndex(i), st)
	}
	return nil
}

// SplitCode takes an RFC 3463 code off the beginning of a text. code is empty
// when there is none; text has no white space around it.
func SplitCode(s string) (code, text string) {
	s = strings.TrimSpace(s)
	end := strings.IndexAny(s, " \t")
	if end < 0 {
		end = len(s)
	}
	if !isCode(s[:end]) {
		return "", s
	}
	return s[:end], strings.TrimSpace(s[end:])
}

// isCode tells whether s is class.subject.detail (RFC 3463 section 2).
func isCode(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || len(parts[0]) != 1 || strings.IndexByte("245", parts[0][0]) < 0 {
		return false
	}
	for _, p := range parts[1:] {
		if len(p) < 1 || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}
