package address_test

import (
	"strings"
	"testing"

	"posthaste/internal/address"
	"posthaste/internal/mail"
)

func TestRewrite(t *testing.T) {
	p, _, _ := setup(t, "append_dot_mydomain = yes\nremote_header_rewrite_domain = domain.invalid\n", nil)
	r := address.NewRewriter(p)
	for _, tt := range []struct{ in, local, remote mail.Address }{
		{"", "", ""},
		{"user", "user@example.com", "user@domain.invalid"},
		{"user@host", "user@host.example.com", "user@host.domain.invalid"},
		{"user@host.test", "user@host.test", "user@host.test"},
		{"user@host.test.", "user@host.test", "user@host.test"},
		{"user@host.test..", "user@host.test..", "user@host.test.."},
		{"user@", "user@", "user@"},
		{"site.test!user", "user@site.test", "user@site.test"},
		{"site!user", "user@site.example.com", "user@site.domain.invalid"},
		{"a!b!user", "b!user@a.example.com", "b!user@a.domain.invalid"},
		{"user%site.test", "user@site.test", "user@site.test"},
		{"user%a%site.test", "user%a@site.test", "user%a@site.test"},
		{"user%site@host.test", "user%site@host.test", "user%site@host.test"},
		{"john doe!x", "john doe!x@example.com", "john doe!x@domain.invalid"},
		{"user@[192.0.2.1]", "user@[192.0.2.1]", "user@[192.0.2.1]"},
	} {
		if got := r.Rewrite(tt.in, address.Local); got != tt.local {
			t.Errorf("local %q gives %q, want %q", tt.in, got, tt.local)
		}
		if got := r.Rewrite(tt.in, address.Remote); got != tt.remote {
			t.Errorf("remote %q gives %q, want %q", tt.in, got, tt.remote)
		}
	}
}

func TestRewriteSwitchedOff(t *testing.T) {
	p, _, _ := setup(t, "swap_bangpath = no\nallow_percent_hack = no\nappend_at_myorigin = no\nappend_dot_mydomain = no\n", nil)
	r := address.NewRewriter(p)
	for _, a := range []mail.Address{"a!b", "a%b", "user", "user@host"} {
		if got := r.Rewrite(a, address.Local); got != a {
			t.Errorf("%q gives %q", a, got)
		}
	}
}

// Rewriting once is enough, unless operators are left in the local part.
func FuzzRewrite(f *testing.F) {
	p, _, _ := setup(f, "append_dot_mydomain = yes\n", nil)
	r := address.NewRewriter(p)
	for _, s := range []string{"user", "a!b%c@d", "a.", "@", "a@b.", `"x y"@z`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := r.Rewrite(mail.Address(s), address.Local)
		if s != "" && !strings.Contains(string(once), "@") {
			t.Fatalf("%q gives %q without a domain", s, once)
		}
		twice := r.Rewrite(once, address.Local)
		if twice != once && !strings.Contains(s, ".") {
			t.Fatalf("%q gives %q, then %q", s, once, twice)
		}
	})
}

func TestDelimiter(t *testing.T) {
	plus := address.Delimiter{Set: "+-", OwnerSpecial: true, DoubleBounce: "double-bounce"}
	for _, tt := range []struct{ in, user, ext string }{
		{"joe", "joe", ""}, {"joe+x", "joe", "+x"}, {"joe-x+y", "joe", "-x+y"}, {"+x", "+x", ""}, {"joe+", "joe", "+"},
		{"owner-list", "owner-list", ""}, {"list-request", "list-request", ""}, {"-request", "-request", ""},
		{"Double-Bounce", "Double-Bounce", ""}, {"mailer-daemon", "mailer-daemon", ""},
	} {
		if u, e := plus.Split(tt.in); u != tt.user || e != tt.ext {
			t.Errorf("Split(%q) = %q, %q", tt.in, u, e)
		}
	}
	if u, e := (address.Delimiter{}).Split("joe+x"); u != "joe+x" || e != "" {
		t.Errorf("no delimiter: %q %q", u, e)
	}
}
