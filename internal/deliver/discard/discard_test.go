package discard

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"posthaste/internal/deliver"
	"posthaste/internal/mail"
)

func TestAgent(t *testing.T) {
	for nexthop, want := range map[string]mail.Status{
		"2.1.1 bye":  {Action: mail.Delivered, Code: "2.1.1", Reason: "bye", Relay: "none"},
		"gone":       {Action: mail.Delivered, Code: "2.0.0", Reason: "gone", Relay: "none"},
		"4.1.1 busy": {Action: mail.Delivered, Code: "2.0.0", Reason: "busy", Relay: "none"},
	} {
		calls := 0
		err := Agent{}.Deliver(context.Background(), deliver.Request{Nexthop: nexthop, Recipients: make([]mail.Recipient, 3)},
			func(_ mail.RecipientIndex, st mail.Status) {
				calls++
				if !cmp.Equal(st, want) {
					t.Errorf("%s: %+v", nexthop, st)
				}
			})
		if err != nil || calls != 3 {
			t.Errorf("%s: %d calls, %v", nexthop, calls, err)
		}
	}
}
