package table_test

import (
	"testing"

	"posthaste/internal/table"
)

func TestUnbrace(t *testing.T) {
	for _, c := range []struct{ in, want, err string }{
		{"{ a b }", "a b", ""},
		{"{{a} {b}}", "{a} {b}", ""},
		{"{}", "", ""},
		{"{a} ", "a", ""},
		{"a", "", `no '{' at start of text in "a"`},
		{"{a}b", "", `syntax error after '}' in "{a}b"`},
		{"{a", "", `missing '}' in "{a"`},
	} {
		got, err := table.Unbrace(c.in)
		if got != c.want || (err != nil) != (c.err != "") || err != nil && err.Error() != c.err {
			t.Errorf("Unbrace(%q) = %q, %v; want %q, %q", c.in, got, err, c.want, c.err)
		}
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "Root@EXAMPLE": "root@example", "ÄÖ": "äö", "Straße": "strasse", "ΣΊΣΥΦΟΣ": "σίσυφοσ", "ς": "σ",
		"ı": "ı", "\xc4A": "\xc4a", "\xffZ": "\xffz",
	} {
		if got := table.Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"1.2.3.4":          "1.2.3.4/32",
		"[::1]":            "::1/128",
		"[2001:db8::]/32":  "2001:db8::/32",
		"[2001:db8::/32]":  "2001:db8::/32",
		"0.0.0.0/0":        "0.0.0.0/0",
		"1.2.3.4/33":       `bad mask length in "1.2.3.4/33"`,
		"1.2.3.4/":         `bad mask length in "1.2.3.4/"`,
		"010.1.1.1":        `bad address pattern: "010.1.1.1"`,
		"fe80::1%eth0":     `bad address pattern: "fe80::1%eth0"`,
		"[::1":             `missing ']' character after "[::1"`,
		"10.1.2.3/24":      `non-null host address bits in "10.1.2.3/24", perhaps you should use "10.1.2.0/24" instead`,
		"host.example.com": `bad address pattern: "host.example.com"`,
	} {
		p, err := table.ParseNetwork(in)
		got := p.String()
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("ParseNetwork(%q): %s, want %s", in, got, want)
		}
	}
}
