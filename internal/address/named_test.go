package address_test

import (
	"context"
	"testing"

	"posthaste/internal/address"
	"posthaste/internal/mail"
)

// TestNamed resolves what the door will make of an address: a bare name belongs
// to $myorigin, which need not be a domain of this system.
func TestNamed(t *testing.T) {
	p, d, _ := setup(t, classes+"myorigin = far.test\nlocal_recipient_maps = static:\n", nil)
	n := address.NewNamed(address.NewResolver(p, d))
	route, err := n.Resolve(context.Background(), "", "joe")
	if err != nil || route.Class != address.ClassDefault || route.Recipient != "joe@far.test" {
		t.Errorf("%+v, %v", route, err)
	}
	if refusal, err := n.Unknown(context.Background(), "", "joe"); refusal != nil || err != nil {
		t.Errorf("%v, %v", refusal, err)
	}
}

// TestAlwaysKnown takes the names that every mail system has, in local domains
// only, although the table does not list them.
func TestAlwaysKnown(t *testing.T) {
	p, d, _ := setup(t, classes+"local_recipient_maps = inline:{joe=x}\nvirtual_mailbox_maps = inline:{joe@box.test=x}\n", nil)
	r := address.NewResolver(p, d)
	for a, want := range map[mail.Address]bool{
		"joe@example.com": true, "ann@example.com": false, "PostMaster@example.com": true, "mailer-daemon@localhost": true,
		"double-bounce@example.com": true, "postmaster@[127.0.0.1]": true, "postmaster@box.test": false,
	} {
		if known, err := r.Known(context.Background(), a); err != nil || known != want {
			t.Errorf("%s: %v, %v", a, known, err)
		}
	}
}

// FuzzRelay looks for addresses for which a stranger is let in and whose mail
// would then leave this system (security catalogue E1): what is queued is the
// address in standard form, and its route must stay here.
func FuzzRelay(f *testing.F) {
	p, d, _ := setup(f, classes, nil)
	r, rewriter := address.NewResolver(p, d), address.NewRewriter(p)
	named, ctx := address.NewNamed(r), context.Background()
	for _, s := range []string{
		"a%far.test@example.com", "far.test!a@example.com", "a@far.test@example.com", "@example.com", "a@[127.0.0.1]",
		"a%far.test", "far.test!a", "a@far.test@[127.0.0.1]", "a%far.test@relay.test", "a@relay.test@far.test", "a@relay.test.",
		"a@[IPv6:2001:db8::1]", "a@sub.relay.test", "a\"@far.test@example.com", "a!b%c@d@alias.test", "@", "a@", "%", "!",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		let, err := named.Resolve(ctx, "", mail.Address(s))
		if err != nil {
			t.Fatal(err)
		}
		if let.Invalid || let.Routed || let.Class == address.ClassDefault {
			return
		}
		queued := rewriter.Rewrite(mail.Address(s), address.Local)
		route, err := r.Resolve(ctx, "", queued)
		if err != nil || route.Class != let.Class || route.Recipient != let.Recipient || route.Transport == "smtp" {
			t.Fatalf("%q is let in as %+v; queued as %q it goes %+v, %v", s, let, queued, route, err)
		}
	})
}
