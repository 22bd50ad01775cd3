package address_test

import (
	"strings"
	"testing"

	"posthaste/internal/address"
	"posthaste/internal/mail"
)

const manyTokens = 10240

// Header values, the addresses found, and the value written back (with line
// breaks shown as `|`).
var listTests = []struct{ in, addresses, out string }{
	{"a@b.test", "a@b.test", "a@b.test"},
	{" a@b.test,c@d.test ", "a@b.test c@d.test", "a@b.test,|c@d.test"},
	{"Joe Q. Public <joe@x.test>", "joe@x.test", "Joe Q. Public <joe@x.test>"},
	{`"Doe, Joe" <joe@x.test>`, "joe@x.test", `"Doe, Joe" <joe@x.test>`},
	{"joe@x.test (Joe Doe)", "joe@x.test", "joe@x.test (Joe Doe)"},
	{"joe (Joe) @ x.test", "joe@x.test", "joe@x.test (Joe)"},
	{"<@relay.test,@other.test:joe@x.test>", "joe@x.test", "<joe@x.test>"},
	{"@relay.test:joe@x.test", "joe@x.test", "joe@x.test"},
	{"team: a@x.test, b@y.test;, c@z.test", "a@x.test b@y.test c@z.test", "team: a@x.test,|b@y.test;,|c@z.test"},
	{"undisclosed-recipients:;", "", "undisclosed-recipients:;"},
	{`"john doe"@x.test`, "john doe@x.test", `"john doe"@x.test`},
	{`"a\"b"@x.test`, `a"b@x.test`, `"a\"b"@x.test`},
	{"a@[192.0.2.1]", "a@[192.0.2.1]", "a@[192.0.2.1]"},
	{"a@x.test b@y.test", "a@x.test b@y.test", "a@x.test,|b@y.test"},
	{"joe", "joe", "joe"},
	{"<>", "", "<>"},
	{"a@x.test,,b@y.test", "a@x.test b@y.test", "a@x.test,|,|b@y.test"},
	{"Joe <joe@x.test", "joe@x.test", "Joe <joe@x.test>"},
	{"(only a comment)", "", "(only a comment)"},
	{"a@x.test (unclosed (deep", "a@x.test", "a@x.test (unclosed (deep))"},
	{`"unclosed`, "unclosed", `"unclosed"`},
	{"A\n\t<a@x.test>,\n B <b@x.test>", "a@x.test b@x.test", "A <a@x.test>,|B <b@x.test>"},
	{"jörg@x.test", "jörg@x.test", "jörg@x.test"},
	{"100% sure <a@x.test>", "a@x.test", "100% sure <a@x.test>"},
}

func TestParseList(t *testing.T) {
	for _, tt := range listTests {
		l := address.ParseList(tt.in, manyTokens)
		var got []string
		for _, box := range l.Mailboxes() {
			if box.Address != "" {
				got = append(got, string(box.Address))
			}
		}
		if s := strings.Join(got, " "); s != tt.addresses {
			t.Errorf("ParseList(%q) finds %q, want %q", tt.in, s, tt.addresses)
		}
		if out := strings.ReplaceAll(string(l.Append(nil)), "\n", "|"); out != tt.out {
			t.Errorf("ParseList(%q) writes %q, want %q", tt.in, out, tt.out)
		}
	}
}

func TestReplaceKeepsTheRest(t *testing.T) {
	l := address.ParseList(`"Doe, Joe" <joe> (home), x!y`, manyTokens)
	changed, err := l.Replace(func(b address.Mailbox) (mail.Address, error) { return b.Address + "@x.test", nil })
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	if got, want := string(l.Append(nil)), "\"Doe, Joe\" <joe@x.test> (home),\nx!y@x.test"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What lies beyond header_address_token_limit is discarded.
func TestTokenLimit(t *testing.T) {
	l := address.ParseList(strings.Repeat("a@b.test, ", 100_000), 60)
	if n := len(l.Mailboxes()); n != 10 {
		t.Errorf("%d addresses of 60 tokens, want 10", n)
	}
}

// A header bomb (security catalogue D3) must cost memory in proportion to its
// size: allocations are counted, not time.
func TestHeaderBombsAreLinear(t *testing.T) {
	for _, part := range []string{"(", "<", "a ", "a@b.test,", ":", "@a:", `"`, "\\", "[", ";", "a<b>", "(\\", ">"} {
		allocs := func(n int) float64 {
			s := strings.Repeat(part, n)
			return testing.AllocsPerRun(1, func() { address.ParseList(s, 1<<30).Append(nil) })
		}
		small, large := allocs(2_000), allocs(20_000)
		if large > 12*small+100 {
			t.Errorf("%q: %.0f allocations for 2000, %.0f for 20000", part, small, large)
		}
	}
}

// What was written is read back as the same addresses.
func FuzzParseList(f *testing.F) {
	for _, tt := range listTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		l := address.ParseList(in, 1000)
		out := string(l.Append(nil))
		again := address.ParseList(out, 100_000)
		a, b := l.Mailboxes(), again.Mailboxes()
		if len(in) < 500 && len(a) > len(b) {
			t.Fatalf("%q gives %d addresses, written %q gives %d", in, len(a), out, len(b))
		}
	})
}
