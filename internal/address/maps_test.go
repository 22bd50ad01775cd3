package address_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"posthaste/internal/address"
	"posthaste/internal/mail"
)

func join(list []mail.Address) string {
	var s []string
	for _, a := range list {
		s = append(s, string(a))
	}
	return strings.Join(s, " ")
}

func TestAliases(t *testing.T) {
	p, d, _ := setup(t, "recipient_delimiter = +\nvirtual_alias_maps = texthash:$dir/virtual\n", map[string]string{"virtual": `
info@v.test     joe, ann@a.test
joe             joe@home.test
keep@v.test     keep@v.test, copy@v.test
copy@v.test     archive@v.test
chain1@v.test   chain2@v.test
chain2@v.test   chain3@v.test
@catch.test     all@v.test
@move.test      @new.test
exact+x@v.test  exact@y.test
exact@v.test    other@y.test
quoted@v.test   "john doe"@v.test, Name <named@v.test> (comment)
`})
	m := address.NewMaps(p, d)
	for _, tt := range []struct{ in, want string }{
		{"nobody@v.test", "nobody@v.test"},
		{"INFO@v.test", "joe@home.test ann@a.test"},
		{"info+ext@v.test", "joe+ext@home.test ann+ext@a.test"},
		{"keep@v.test", "keep@v.test archive@v.test"},
		{"chain1@v.test", "chain3@v.test"},
		{"any@catch.test", "all@v.test"},
		{"any+x@catch.test", "all+x@v.test"},
		{"any+x@move.test", "any+x@new.test"},
		{"exact+x@v.test", "exact@y.test"},
		{"exact+y@v.test", "other+y@y.test"},
		{"joe@mx.example.com", "joe@home.test"},
		{"joe@elsewhere.test", "joe@elsewhere.test"},
		{"quoted@v.test", "john doe@v.test named@v.test"},
	} {
		got, err := m.Aliases(context.Background(), mail.Address(tt.in))
		if err != nil || join(got) != tt.want {
			t.Errorf("%s expands to %q (%v), want %q", tt.in, join(got), err, tt.want)
		}
	}
}

func TestAliasLimits(t *testing.T) {
	var many []string
	for i := range 30 {
		many = append(many, fmt.Sprintf("u%d@x.test", i))
	}
	p, d, w := setup(t, "virtual_alias_maps = texthash:$dir/virtual\nvirtual_alias_recursion_limit = 10\n"+
		"virtual_alias_expansion_limit = 20\nvirtual_alias_address_length_limit = 50\n", map[string]string{
		"virtual": "loop1@v.test loop2@v.test\nloop2@v.test loop1@v.test\nbig@v.test " + strings.Join(many, ",") +
			"\nlong@v.test " + strings.Repeat("x", 60) + "@v.test\ntwice@v.test a.twice@v.test b.twice@v.test\na.twice@v.test twice@v.test c@v.test\n",
	})
	m := address.NewMaps(p, d)
	for _, tt := range []struct{ in, warning string }{
		{"loop1@v.test", "unreasonable virtual_alias_maps map nesting for loop1@v.test"},
		{"big@v.test", "unreasonable virtual_alias_maps map expansion size for big@v.test"},
		{"long@v.test", "unreasonable virtual_alias_maps result xxxx"},
		{"twice@v.test", "unreasonable virtual_alias_maps map"},
	} {
		w.lines = nil
		_, err := m.Aliases(context.Background(), mail.Address(tt.in))
		var e *mail.Error
		if !errors.As(err, &e) || !e.Temporary() || e.Code != "4.6.0" || !strings.Contains(w.String(), tt.warning) {
			t.Errorf("%s: error %v, warnings %q", tt.in, err, w)
		}
	}
}

func TestCanonicalAndMasquerade(t *testing.T) {
	p, d, _ := setup(t, "recipient_delimiter = +\ncanonical_maps = texthash:$dir/canon\nsender_canonical_maps = regexp:$dir/sender\n"+
		"masquerade_domains = !keep.foo.test foo.test\nmasquerade_exceptions = root\n", map[string]string{
		"canon":  "joe@a.test Joe.Doe@b.test\nloop1@a.test loop2@a.test\nloop2@a.test loop1@a.test\nself@a.test self@a.test\n",
		"sender": "/^app@(.*)$/ app-$1@a.test\n",
	})
	m := address.NewMaps(p, d)
	for _, tt := range []struct {
		in   mail.Address
		role address.Role
		want mail.Address
	}{
		{"joe@a.test", address.HeaderRecipient, "Joe.Doe@b.test"},
		{"joe+x@a.test", address.EnvelopeSender, "Joe.Doe+x@b.test"},
		{"self@a.test", address.EnvelopeSender, "self@a.test"},
		{"app@h.test", address.EnvelopeSender, "app-h.test@a.test"},
		{"app@h.test", address.EnvelopeRecipient, "app@h.test"},
		{"u@h.foo.test", address.EnvelopeSender, "u@foo.test"},
		{"u@H.FOO.test", address.HeaderRecipient, "u@foo.test"},
		{"u@h.foo.test", address.EnvelopeRecipient, "u@h.foo.test"},
		{"root@h.foo.test", address.EnvelopeSender, "root@h.foo.test"},
		{"u@x.keep.foo.test", address.EnvelopeSender, "u@x.keep.foo.test"},
		{"u@xfoo.test", address.EnvelopeSender, "u@xfoo.test"},
	} {
		got, err := m.Canonical(context.Background(), tt.in, tt.role)
		if err != nil || got != tt.want {
			t.Errorf("Canonical(%q, %d) = %q, %v; want %q", tt.in, tt.role, got, err, tt.want)
		}
	}
	if _, err := m.Canonical(context.Background(), "loop1@a.test", address.HeaderSender); err == nil {
		t.Error("a loop in canonical_maps is no error")
	}
}

func TestBCC(t *testing.T) {
	p, d, w := setup(t, "recipient_delimiter = +\nalways_bcc = archive\nsender_bcc_maps = texthash:$dir/bcc\nrecipient_bcc_maps = texthash:$dir/bcc\n",
		map[string]string{"bcc": "@a.test watch@w.test\nsales@b.test one two\n"})
	m := address.NewMaps(p, d)
	ctx := context.Background()
	if a := m.AlwaysBCC(); a != "archive@example.com" {
		t.Error(a)
	}
	if a, err := m.SenderBCC(ctx, "joe+x@a.test"); err != nil || a != "watch@w.test" {
		t.Error(a, err)
	}
	if a, err := m.RecipientBCC(ctx, "joe@c.test"); err != nil || a != "" {
		t.Error(a, err)
	}
	if a, err := m.RecipientBCC(ctx, "sales@b.test"); err != nil || a != "one@example.com" || !strings.Contains(w.String(), "multi-valued recipient_bcc_maps entry") {
		t.Error(a, err, w)
	}
}

// A table that fails is never "not found".
func TestTableErrorsAreTemporary(t *testing.T) {
	p, d, _ := setup(t, "virtual_alias_maps = fail:broken\ncanonical_maps = fail:broken\ntransport_maps = fail:broken\n", nil)
	m := address.NewMaps(p, d)
	ctx := context.Background()
	_, err1 := m.Aliases(ctx, "a@b.test")
	_, err2 := m.Canonical(ctx, "a@b.test", address.EnvelopeSender)
	_, err3 := address.NewResolver(p, d).Resolve(ctx, "", "a@b.test")
	for i, err := range []error{err1, err2, err3} {
		var e *mail.Error
		if !errors.As(err, &e) || e.Reply != 451 || e.Code != "4.3.0" {
			t.Errorf("%d: %v", i, err)
		}
	}
}
