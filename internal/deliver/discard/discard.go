// Package discard is discard(8): it says that mail was delivered and throws it
// away, with the text of the next hop as the reason. It touches nothing.
package discard

import (
	"context"
	"strings"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
)

// Agent discards.
type Agent struct{}

// Deliver implements deliver.Agent.
func (Agent) Deliver(_ context.Context, r deliver.Request, done func(mail.RecipientIndex, mail.Status)) error {
	st := mail.Sent("2.0.0", "%s", strings.TrimSpace(r.Nexthop))
	if first, rest, _ := strings.Cut(st.Reason, " "); isCode(first) {
		st.Reason = strings.TrimSpace(rest)
		// A code of another class would contradict what is done.
		if first[0] == '2' {
			st.Code = first
		}
	}
	st.Relay = "none"
	if !r.Envelope.Trace.Delivers() {
		st.Action = mail.Deliverable
	}
	for i := range r.Recipients {
		done(mail.RecipientIndex(i), st)
	}
	return nil
}

// isCode tells whether s is class.subject.detail (RFC 3463 section 2).
func isCode(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != "2" && parts[0] != "4" && parts[0] != "5" {
		return false
	}
	for _, p := range parts[1:] {
		if len(p) < 1 || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}
