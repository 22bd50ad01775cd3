package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMain(t *testing.T) {
	f := parseMain(t, "# comment\n\nmyhostname = host.example.com\nmydestination = $myhostname,\n"+
		"  # comment within\n\tlocalhost\n\n   other\nempty=\nunknown_thing=  x  y \t\r\nmyhostname=second\n")
	want := []Setting{
		{"mydestination", "$myhostname,\tlocalhost   other", 4},
		{"empty", "", 9},
		{"unknown_thing", "x  y", 10},
		{"myhostname", "second", 11},
	}
	if diff := cmp.Diff(want, f.Effective()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	warning := "/etc/postfix/main.cf, line 11: overriding earlier entry: myhostname=host.example.com"
	if diff := cmp.Diff([]string{warning}, f.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestParseMainErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"foo bar\n", `/x/main.cf, line 1: missing '=' after attribute name: "foo bar"`},
		{"ok = 1\n\n= bar\n", `/x/main.cf, line 3: missing attribute name: "= bar"`},
		{"a b = c\n", `/x/main.cf, line 1: missing '=' after attribute name: "a b = c"`},
	} {
		if _, err := ParseMain("/x/main.cf", []byte(test.text)); err == nil || err.Error() != test.want {
			t.Errorf("%q: error %v, want %s", test.text, err, test.want)
		}
	}
}

// A first line with white space before it continues nothing: it is dropped.
func TestParseMainLeadingSpace(t *testing.T) {
	f := parseMain(t, "  foo = bar\n  more\nx = y\n")
	if diff := cmp.Diff([]Setting{{"x", "y", 3}}, f.Effective()); diff != "" {
		t.Error(diff)
	}
	if len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0], "logical line must not start with whitespace") {
		t.Errorf("warnings: %q", f.Warnings)
	}
}

func TestSplitList(t *testing.T) {
	for _, test := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{" , ,", nil},
		{"a, b\tc,d", []string{"a", "b", "c", "d"}},
		{"{ inet:host:1, timeout=3s }, inet:host:2", []string{"{ inet:host:1, timeout=3s }", "inet:host:2"}},
		{"static:{a {b} c} x", []string{"static:{a {b} c}", "x"}},
		{"{open a", []string{"{open a"}},
		{"a} b", []string{"a}", "b"}},
	} {
		if diff := cmp.Diff(test.want, SplitList(test.in)); diff != "" {
			t.Errorf("%q: %s", test.in, diff)
		}
	}
}

func FuzzParseMain(f *testing.F) {
	f.Add([]byte("a = b\n c\n# x\n  d\n=e\n"))
	f.Add([]byte("  a\nb"))
	f.Add([]byte("a=b\r\nc = \x00 #\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMain("main.cf", data)
		if err != nil {
			return
		}
		for _, s := range m.Settings {
			if s.Name == "" || strings.ContainsAny(s.Name, " \t=\n") || s.Line < 1 {
				t.Fatalf("setting %+v", s)
			}
		}
		// What we write we read back, and nothing else changes.
		out, _ := EditMain(data, Replace, []Setting{{Name: "zz_new", Value: "v 1"}})
		again, err := ParseMain("main.cf", out)
		if err != nil {
			t.Fatalf("after an edit: %v", err)
		}
		if s, ok := again.Get("zz_new"); !ok || s.Value != "v 1" {
			t.Fatalf("zz_new is %q, %v", s.Value, ok)
		}
		if _, had := m.Get("zz_new"); !had && len(again.Settings) != len(m.Settings)+1 {
			t.Fatalf("%d settings became %d", len(m.Settings), len(again.Settings))
		}
	})
}
