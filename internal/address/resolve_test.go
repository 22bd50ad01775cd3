package address_test

import (
	"context"
	"testing"

	"posthaste/internal/address"
	"posthaste/internal/mail"
)

type resolveTest struct{ in, transport, nexthop, rcpt string }

func checkRoutes(t *testing.T, r *address.Resolver, sender mail.Address, tests []resolveTest) {
	t.Helper()
	for _, tt := range tests {
		got, err := r.Resolve(context.Background(), sender, mail.Address(tt.in))
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if got.Transport != tt.transport || got.Nexthop != tt.nexthop || string(got.Recipient) != tt.rcpt {
			t.Errorf("%q resolves to %s:%s %s, want %s:%s %s", tt.in,
				got.Transport, got.Nexthop, got.Recipient, tt.transport, tt.nexthop, tt.rcpt)
		}
	}
}

const classes = `
virtual_alias_domains = alias.test
virtual_mailbox_domains = box.test
relay_domains = relay.test
parent_domain_matches_subdomains = relay_domains
`

func TestResolveClasses(t *testing.T) {
	p, d, _ := setup(t, classes, nil)
	checkRoutes(t, address.NewResolver(p, d), "s@x.test", []resolveTest{
		{"joe@example.com", "local", "mx.example.com", "joe@example.com"},
		{"joe@EXAMPLE.com.", "local", "mx.example.com", "joe@EXAMPLE.com"},
		{"joe", "local", "mx.example.com", "joe@mx.example.com"},
		{"", "local", "mx.example.com", "MAILER-DAEMON@mx.example.com"},
		{"joe@[127.0.0.1]", "local", "mx.example.com", "joe@[127.0.0.1]"},
		{"joe@[IPv6:2001:db8::1]", "local", "mx.example.com", "joe@[IPv6:2001:db8::1]"},
		{"joe@[192.0.2.9]", "smtp", "[192.0.2.9]", "joe@[192.0.2.9]"},
		{"joe@alias.test", "error", "5.1.1 User unknown in virtual alias table", "joe@alias.test"},
		{"joe@box.test", "virtual", "box.test", "joe@box.test"},
		{"joe@relay.test", "relay", "relay.test", "joe@relay.test"},
		{"joe@sub.relay.test", "relay", "sub.relay.test", "joe@sub.relay.test"},
		{"joe@far.test", "smtp", "far.test", "joe@far.test"},
		{"joe%far.test@example.com", "smtp", "far.test", "joe@far.test"},
		{"far.test!joe@example.com", "smtp", "far.test", "joe@far.test"},
		{"joe@far.test@example.com", "smtp", "far.test", "joe@far.test"},
		{"joe@", "error", "5.1.3 bad address syntax", "joe@"},
		{"joe@192.0.2.1", "error", "5.1.3 bad address syntax", "joe@192.0.2.1"},
		{"joe@bad..test", "error", "5.1.3 bad address syntax", "joe@bad..test"},
		{"-joe@far.test", "error", "5.1.3 bad address syntax", "-joe@far.test"},
	})
	route, _ := address.NewResolver(p, d).Resolve(context.Background(), "", "joe%far.test@relay.test")
	if !route.Routed || route.Class != address.ClassRelay {
		t.Errorf("%+v is not seen as source routed", route)
	}
}

func TestResolveTransportMaps(t *testing.T) {
	p, d, _ := setup(t, classes+"recipient_delimiter = +\nrelayhost = [gw.test]\ntransport_maps = texthash:$dir/transport\n", map[string]string{"transport": `
joe+x@far.test   slow:one.test
joe@far.test     slow:two.test
far.test         :[three.test]:26
.far.test        four:
exact.test       :
err.test         error:5.7.1 not here
null.test        error:
box.test         lmtp:unix:private/dovecot
*                smtp:[fallback.test]
`})
	checkRoutes(t, address.NewResolver(p, d), "s@x.test", []resolveTest{
		{"joe+x@far.test", "slow", "one.test", "joe+x@far.test"},
		{"joe+y@far.test", "slow", "two.test", "joe+y@far.test"},
		{"ann@far.test", "smtp", "[three.test]:26", "ann@far.test"},
		{"ann@a.b.far.test", "four", "a.b.far.test", "ann@a.b.far.test"},
		{"ann@exact.test", "smtp", "[gw.test]", "ann@exact.test"},
		{"ann@err.test", "error", "5.7.1 not here", "ann@err.test"},
		{"ann@null.test", "error", "Address is undeliverable", "ann@null.test"},
		{"ann@box.test", "lmtp", "unix:private/dovecot", "ann@box.test"},
		{"ann@other.test", "smtp", "[fallback.test]", "ann@other.test"},
	})
}

func TestResolveBySender(t *testing.T) {
	p, d, _ := setup(t, "relayhost = [gw.test]\nsender_dependent_relayhost_maps = texthash:$dir/host\n"+
		"sender_dependent_default_transport_maps = texthash:$dir/default\n", map[string]string{
		"host":    "a@s.test [a-gw.test]:587\n@s.test [s-gw.test]\nd@s.test DUNNO\n<> [null-gw.test]\n",
		"default": "t@s.test slow:[t-gw.test]\nu@s.test slow\n",
	})
	r := address.NewResolver(p, d)
	for sender, want := range map[mail.Address][2]string{
		"a@s.test": {"smtp", "[a-gw.test]:587"},
		"b@s.test": {"smtp", "[s-gw.test]"},
		"d@s.test": {"smtp", "[gw.test]"},
		"":         {"smtp", "[null-gw.test]"},
		"t@s.test": {"slow", "[t-gw.test]"},
		"u@s.test": {"slow", "[s-gw.test]"},
		"z@z.test": {"smtp", "[gw.test]"},
	} {
		checkRoutes(t, r, sender, []resolveTest{{"joe@far.test", want[0], want[1], "joe@far.test"}})
	}
}

func TestRelocatedAndVerify(t *testing.T) {
	p, d, _ := setup(t, "relocated_maps = texthash:$dir/moved\naddress_verify_relayhost = [probe.test]\n",
		map[string]string{"moved": "old@far.test new@far.test\n"})
	checkRoutes(t, address.NewResolver(p, d), "", []resolveTest{
		{"old@far.test", "error", "5.1.6 User has moved to new@far.test", "old@far.test"},
		{"joe@far.test", "smtp", "far.test", "joe@far.test"},
	})
	checkRoutes(t, address.NewVerifyResolver(p, d), "", []resolveTest{{"joe@far.test", "smtp", "[probe.test]", "joe@far.test"}})
}

func TestKnown(t *testing.T) {
	p, d, _ := setup(t, classes+`
recipient_delimiter = +
local_recipient_maps = texthash:$dir/users
virtual_mailbox_maps = texthash:$dir/boxes
relay_recipient_maps = texthash:$dir/relay
virtual_alias_maps = texthash:$dir/virtual
unknown_relay_recipient_reject_code = 450
`, map[string]string{
		"users": "joe x\n", "boxes": "ann@box.test x\n", "relay": "@sub.relay.test x\nbob@relay.test x\n",
		"virtual": "info@alias.test joe\nonly@far.test joe\n",
	})
	r := address.NewResolver(p, d)
	for _, tt := range []struct{ in, want string }{
		{"joe@example.com", ""}, {"joe+x@mx.example.com", ""}, {"joe@[127.0.0.1]", ""},
		{"nobody@example.com", "550 5.1.1 User unknown in local recipient table"},
		{"ann@box.test", ""}, {"ann+x@box.test", ""},
		{"joe@box.test", "550 5.1.1 User unknown in virtual mailbox table"},
		{"bob@relay.test", ""}, {"any@sub.relay.test", ""},
		{"joe@relay.test", "450 4.1.1 User unknown in relay recipient table"},
		{"info@alias.test", ""},
		{"joe@alias.test", "550 5.1.1 User unknown in virtual alias table"},
		{"anybody@far.test", ""},
	} {
		refusal, err := r.Unknown(context.Background(), "", mail.Address(tt.in))
		got := ""
		if refusal != nil {
			got = refusal.Error()
		}
		if err != nil || got != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func FuzzResolve(f *testing.F) {
	p, d, _ := setup(f, classes, nil)
	r := address.NewResolver(p, d)
	for _, s := range []string{"a!b%c@example.com", "@", "a@@example.com", "!!!@localhost", "%%%", "a@[", "a@example.com."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := r.Resolve(context.Background(), "", mail.Address(s)); err != nil {
			t.Fatal(err)
		}
	})
}
