package fail

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
)

// The expected results are those of a real error(8) and retry(8).
func TestAgent(t *testing.T) {
	for _, c := range []struct {
		service, nexthop, code, text string
		action                       mail.Action
	}{
		{"error", "5.7.9 go away", "5.7.9", "go away", mail.Bounced},
		{"error", "no", "5.0.0", "no", mail.Bounced},
		{"error", "", "5.0.0", "Address is undeliverable", mail.Bounced},
		{"error", "4.2.1 mix", "5.0.0", "mix", mail.Bounced},
		{"error", "5.1.1", "5.1.1", "Address is undeliverable", mail.Bounced},
		{"error", "5.1 x", "5.0.0", "5.1 x", mail.Bounced},
		{"retry", "4.7.9 later", "4.7.9", "later", mail.Deferred},
		{"retry", "5.0.1 x", "4.0.0", "x", mail.Deferred},
	} {
		var got []mail.Status
		err := Agent{}.Deliver(context.Background(), deliver.Request{
			Service: c.service, Nexthop: c.nexthop, Recipients: make([]mail.Recipient, 2),
		}, func(_ mail.RecipientIndex, st mail.Status) { got = append(got, st) })
		want := mail.Status{Action: c.action, Code: c.code, Reason: c.text, Relay: "none"}
		if err != nil || !cmp.Equal(got, []mail.Status{want, want}) {
			t.Errorf("%s:%s: %+v, %v", c.service, c.nexthop, got, err)
		}
	}
}

func TestProbe(t *testing.T) {
	r := deliver.Request{Service: "error", Nexthop: "x", Recipients: make([]mail.Recipient, 1)}
	r.Envelope.Trace = mail.TraceProbe
	Agent{}.Deliver(context.Background(), r, func(_ mail.RecipientIndex, st mail.Status) {
		if st.Action != mail.Undeliverable {
			t.Errorf("%+v", st)
		}
	})
}

func FuzzSplitCode(f *testing.F) {
	f.Add("5.1.1 x")
	f.Add(" 4.0 ")
	f.Fuzz(func(t *testing.T, s string) {
		if code, _ := SplitCode(s); code != "" && !isCode(code) {
			t.Errorf("%q: %q", s, code)
		}
	})
}
