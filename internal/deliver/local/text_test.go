package local

import (
	"strings"
	"testing"
)

func TestSplitDestinations(t *testing.T) {
	for text, want := range map[string]string{
		"a, b@c":                                "a|b@c",
		" a ,\n\tb\n":                           "a|b",
		`"|cmd -a 'x, y' \"q\"", /f`:            `|cmd -a 'x, y' "q"|/f`,
		`|/bin/x arg`:                           `|/bin/x arg`,
		`|"exec /bin/x < a (b)"`:                `|exec /bin/x < a (b)`,
		`|/bin/x <in (y)`:                       `|/bin/x <in (y)`,
		`:include:/a/b`:                         `:include:/a/b`,
		`":include:/a b"`:                       `:include:/a b`,
		`\ann`:                                  `\ann`,
		`Ann B. <ann@h>, "Q, R" <q@h>`:          "ann@h|q@h",
		`"john doe"@h`:                          "john doe@h",
		`a (comment, with (nested) commas) , b`: "a|b",
		"# comment, x\na # not a comment":       "a # not a comment",
		`"unclosed, man`:                        "unclosed, man",
		"\"unclosed\nnext":                      "unclosed|next",
		"":                                      "",
		",,\n,":                                 "",
		`<a@b> trailing`:                        "a@b",
		`" lead"`:                               " lead",
	} {
		if got := strings.Join(splitDestinations(text), "|"); got != strings.TrimPrefix(want, "\x00") {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestExpandMacros(t *testing.T) {
	names := map[string]string{"a": "A$b", "b": "B", "empty": ""}
	lookup := func(name string) (string, bool) { v, ok := names[name]; return v, ok }
	for text, want := range map[string]string{
		"$a/$b":                  "A$b/B",
		"${a}x$(b)":              "A$bxB",
		"${b?yes}${empty?no}":    "yes",
		"${empty:yes}${b:no}":    "yes",
		"${b?{y}}${empty:{n}}":   "yn",
		"${b?{1}:{2}}":           "1",
		"${empty?{1}:{2}}":       "2",
		"${b?{$a}}":              "A$b",
		"${b?pre$empty${b}post}": "preBpost",
		"$$b":                    "$b",
		"end$":                   "end$",
	} {
		if got, err := expandMacros(text, lookup); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"$none", "${a", "${a?{b}", "${a!b}", "${}", "${b?{x}y}", strings.Repeat("${b?", 50) + strings.Repeat("}", 50)} {
		if got, err := expandMacros(text, lookup); err == nil {
			t.Errorf("%q: no error, %q", text, got)
		}
	}
}

func FuzzSplitDestinations(f *testing.F) {
	for _, s := range []string{"a, b", `"|x \" y", /f`, `N <a@b>`, "(", `\`, "\"\n\\\n", "<,>,", "#\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, d := range splitDestinations(s) {
			if d == "" || strings.Contains(d, "\n") && !strings.Contains(s, "\\\n") {
				t.Errorf("%q: %q", s, d)
			}
			// In quotes a destination stands for itself.
			quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(d) + `"`
			if again := splitDestinations(quoted); !strings.Contains(d, "\n") && (len(again) != 1 || again[0] != d) {
				t.Errorf("%q: %q, in quotes %q", s, d, again)
			}
		}
	})
}

func FuzzExpandMacros(f *testing.F) {
	for _, s := range []string{"$a", "${a?{b}:{c}}", "$(", "${a:", "$$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := expandMacros(s, func(string) (string, bool) { return "v", true })
		if err == nil && !strings.Contains(s, "$") && got != s {
			t.Errorf("%q: %q", s, got)
		}
		if len(got) > len(s) {
			t.Errorf("%q: %q is longer", s, got)
		}
	})
}

func FuzzDeliveredTo(f *testing.F) {
	f.Add("Delivered-To: a\n b\n\nbody\n")
	f.Add(" \n:\n")
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" {
			return // a queue file holds at least our Received header
		}
		if _, err := deliveredTo(content(t, s)); err != nil {
			t.Error(err)
		}
	})
}
