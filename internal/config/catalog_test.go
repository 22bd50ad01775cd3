package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCatalog(t *testing.T) {
	c := testCatalog()
	if len(c.Conflicts()) != 0 {
		t.Errorf("conflicts: %q", c.Conflicts())
	}
	if n := len(c.Names()); n < 850 {
		t.Errorf("only %d names", n)
	}
	for _, test := range []struct {
		name string
		want Param
	}{
		{"smtpd_timeout", Param{Name: "smtpd_timeout", Kind: Duration, Default: "${stress?{10}:{300}}s", Unit: "s", Doc: "A time.", Implemented: true}},
		{"lmtp_tcp_port", Param{Name: "lmtp_tcp_port", Default: "24", Doc: "A port.", Implemented: true}},
		{"smtpd_client_ipv6_prefix_length", Param{Name: "smtpd_client_ipv6_prefix_length", Default: "84"}},
		{"default_rbl_reply", Param{Name: "default_rbl_reply", Raw: true,
			Default: "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using $rbl_domain${rbl_reason?; $rbl_reason}"}},
	} {
		if got, _ := c.Get(test.name); got != test.want {
			t.Errorf("%s: %s", test.name, cmp.Diff(test.want, got))
		}
	}
	if _, ok := c.Get("no_such_parameter"); ok {
		t.Error("no_such_parameter is known")
	}
}

func TestCatalogConflicts(t *testing.T) {
	type other struct {
		A int `cf:"smtpd_recipient_limit" default:"5"`
	}
	type wrongType struct {
		F float64 `cf:"x" default:"5"`
	}
	type hidden struct {
		//lint:ignore U1000 it cannot be set, which is what the test is about
		f string `cf:"y"`
	}
	for _, bad := range []any{other{}, wrongType{}, hidden{}, 5, nil} {
		if c := NewCatalog(sample{}, bad); len(c.Conflicts()) != 1 {
			t.Errorf("%T: conflicts %q", bad, c.Conflicts())
		}
	}
	if c := NewCatalog(sample{}, Common{}); len(c.Conflicts()) != 0 {
		t.Errorf("the same struct twice: %q", c.Conflicts())
	}
}

// Every default in Postfix's list and in Common can be parsed, and those that
// Common changes are meant to be changed.
func TestDefaults(t *testing.T) {
	c := NewCatalog(Common{})
	different := map[string]bool{"enable_long_queue_ids": true}
	for _, name := range c.Names() {
		p, _ := c.Get(name)
		if _, err := parseExpression(p.Default); err != nil && !p.Raw {
			t.Errorf("%s: %v", name, err)
		}
		postfix, ok := c.PostfixDefault(name)
		if !ok {
			t.Errorf("%s is not in postfix.txt", name)
		}
		if p.Implemented && p.Default != postfix && !different[name] {
			t.Errorf("%s: default %q, Postfix has %q", name, p.Default, postfix)
		}
		if p.Implemented && p.Doc == "" {
			t.Errorf("%s has no doc", name)
		}
	}
	s, err := NewSnapshot(parseMain(t, ""), c, Service{}, testHost())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Bind(&Common{}); err != nil {
		t.Errorf("defaults do not bind: %v", err)
	}
}

func TestRenamed(t *testing.T) {
	for from, want := range map[string]string{
		"smtp_helo_timeout":                      "lmtp_lhlo_timeout",
		"smtp_helo_name":                         "lmtp_lhlo_name",
		"smtp_discard_ehlo_keyword_address_maps": "lmtp_discard_lhlo_keyword_address_maps",
		"smtp_tls_security_level":                "lmtp_tls_security_level",
		"myhostname":                             "myhostname",
	} {
		got := renamed(from, "smtp_", "lmtp_")
		if got != want {
			t.Errorf("%s: %s", from, got)
		}
		if _, ok := testCatalog().Get(got); !ok {
			t.Errorf("%s is no parameter", got)
		}
	}
	if strings.Contains(renamed("smtp_connect_timeout", "smtp_", "slow_"), "smtp_") {
		t.Error("prefix kept")
	}
}
