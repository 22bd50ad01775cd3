package intake_test

import (
	"fmt"
	"testing"

	"posthaste/internal/intake"
	"posthaste/internal/mail"
)

// The recipients of a message that is refused can be told, unless memory would
// grow with them.
func TestKeepRecipients(t *testing.T) {
	for _, c := range []struct {
		keep        bool
		given, want int
	}{{false, 3, 0}, {true, 3, 3}, {true, 10_000, 10_000}, {true, 10_001, 0}, {true, 20_002, 0}} {
		door, _, _ := setup(t, "header_checks = static:REJECT\n", nil)
		to := make([]mail.Recipient, c.given)
		for i := range to {
			to[i].Address = mail.Address(fmt.Sprintf("r%d@far.test", i))
		}
		m, err := send(door.With(intake.Options{KeepRecipients: c.keep}), remote("joe@far.test"), "X: a\n\n", to...)
		if err == nil || !m.ContentRefused() {
			t.Fatalf("taken: %v", err)
		}
		if n := len(m.Recipients()); n != c.want {
			t.Errorf("of %d recipients %d are told, want %d", c.given, n, c.want)
		}
	}
}
