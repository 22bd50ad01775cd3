package regexp_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"posthaste/internal/table"
	"posthaste/internal/table/regexp"
	"posthaste/internal/table/tabletest"
)

func TestConformance(t *testing.T) {
	tab := regexp.Parse("t", []byte("/^user([0-9]+)@example\\.com$/ box$1\n/^static$/ value\n"), table.Options{})
	tabletest.Run(t, tab, tabletest.Case{
		Entries: map[string]string{"user12@example.com": "box12", "static": "value"},
		Missing: []string{"user@example.com", "xstatic"},
		Folds:   true,
	})
}

// The answers are those of Postfix 3.7 with the GNU C library.
func TestMatch(t *testing.T) {
	for _, c := range []struct{ rules, key, want string }{
		{"/foo/ yes", "a FOO b", "yes"},
		{"/foo/i yes", "a FOO b", ""},
		{"!/foo/ no", "bar", "no"},
		{"!/foo/ no", "foo", ""},
		{"!!/foo/ yes", "foo", "yes"},
		{"|a/b| yes", "xa/by", "yes"},
		{`/a\/b/ yes`, "a/b", "yes"},
		{"/^(.*)-out@(.*)$/ Use ${1}@$(2) $$5", "list-out@a.test", "Use list@a.test $5"},
		{"/(a)(b)?/ x${1}y$2", "a", "xay"},
		{"/(bar|foo|foobar)/ $1", "foobar", "foobar"},
		{`/\bfoo\b/ yes`, "a foo b", "yes"},
		{`/\<bar\>/ yes`, "a bar b", "yes"},
		{`/\<bar\>/ yes`, "rebar", ""},
		{`/\wx\W/ yes`, "yx ", "yes"},
		{`/a{,3}z/ yes`, "aaz", "yes"},
		{`/^a{2,3}$/ yes`, "aaaa", ""},
		{`/[]a]b/ yes`, "]b", "yes"},
		{`/^[^]a]$/ yes`, "]", ""},
		{`/^[[:alpha:][:digit:]-]+Q$/ yes`, "abc-Q", "yes"},
		{`/^[[:upper:]]$/ yes`, "a", "yes"},
		{`/^[a\]$/ yes`, `\`, "yes"},
		{`/^$/ empty`, "", "empty"},
		{`/()y/ yes`, "y", "yes"},
		{`/[[=e=]]f/ yes`, "ef", "yes"},
		{`/^x+?u$/ yes`, "xxu", "yes"},
		{`/^(a*)+m$/ yes`, "aam", "yes"},
		{`/^a**k$/ yes`, "aak", "yes"},
		{`/\d5/ yes`, "d5", "yes"},
		{`/^a\+b$/x yes`, "aab", "yes"},
		{`/^a+b$/x yes`, "a+b", "yes"},
		{`/\(a\)t/x $1`, "at", "a"},
		{`/^*a/x yes`, "*a", "yes"},
		{`/a|b)/ yes`, "b)", "yes"},
		{"/^a.b$/ yes", "a\nb", "yes"},
		{"/^b$/ yes", "a\nb", ""},
		{"/^b$/m yes", "a\nb", "yes"},
		{"/^a.b$/m yes", "a\nb", ""},
		{"/^a[^x]b$/m yes", "a\nb", ""},
		{"/^.$/ yes", "\xe9", "yes"},
		{"/^.$/ yes", "é", ""},
		{"/^(..)x$/ $1", "éx", "é"},
		{"/^é$/ yes", "é", "yes"},
		{"/^é$/ yes", "É", ""},
		{"/^[\x80-\xff]+$/ yes", "éü", "yes"},
		{"/^a\xff/ yes", "a\xffb", "yes"},
		{"if /@a\\.test$/\n/^x/ in\nendif\n/^x/ out", "x@a.test", "in"},
		{"if /@a\\.test$/\n/^x/ in\nendif\n/^x/ out", "x@b.test", "out"},
		{"if !/a/\nif /b/\n/c/ bc\nendif\n/c/ c\nendif", "xbc", "bc"},
		{"if !/a/\nif /b/\n/c/ bc\nendif\n/c/ c\nendif", "xc", "c"},
		{"if !/a/\nif /b/\n/c/ bc\nendif\n/c/ c\nendif", "abc", ""},
		{"/x/ one\n two", "x", "one two"},
	} {
		warnings := 0
		tab := regexp.Parse("t", []byte(c.rules), table.Options{Warn: func(string, ...any) { warnings++ }})
		got, found, err := tab.Lookup(context.Background(), c.key)
		if got != c.want || found != (c.want != "") || err != nil || warnings > 0 {
			t.Errorf("%q on %q: %q, %v, %v (%d warnings); want %q", c.rules, c.key, got, found, err, warnings, c.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	for rules, want := range map[string]string{
		"#\n/foo/ $1":      `regexp map t, line 2: out of range replacement index "1": skipping this rule`,
		"/(a)/ x$1y":       `regexp map t, line 1: non-numeric replacement index "1y"`,
		"!/zz/ $1":         `regexp map t, line 1: $number found in negative match replacement text: skipping this rule`,
		"endif":            `regexp map t, line 1: ignoring ENDIF without matching IF`,
		"if /a/\nendif x":  `regexp map t, line 2: ignoring extra text after ENDIF`,
		"if /a/ x\nendif":  `regexp map t, line 1: ignoring extra text after IF statement: "x"`,
		"if /a/":           `regexp map t, line 1: IF has no matching ENDIF`,
		"/open":            `regexp map t, line 1: no closing regexp delimiter "/": skipping this rule`,
		"/bad(/ x":         `regexp map t, line 1: Unmatched ( or \(`,
		"/x{/ x":           `regexp map t, line 1: Unmatched \{`,
		"/a|*b/ x":         `regexp map t, line 1: Invalid preceding regular expression`,
		"/[[.hyphen.]]/ x": `regexp map t, line 1: Invalid collation character`,
		"/a[/ x":           `regexp map t, line 1: Unmatched [, [^, [:, [., or [=`,
		`/(x)\1/ x`:        `regexp map t, line 1: back-reference \1 is not supported`,
		"/x/":              `regexp map t, line 1: no replacement text: using empty string`,
		"/x/iz y":          `regexp map t, line 1: unknown regexp option "z": skipping this rule`,
		"noslash foo":      `regexp map t, line 1: ignoring unrecognized request`,
		"/x/ $":            `empty macro name: "$"`,
		"/x/ ${":           `truncated macro reference: "${"`,
		"!":                `regexp map t, line 1: no regexp: skipping this rule`,
	} {
		var got []string
		regexp.Parse("t", []byte(rules), table.Options{Warn: func(f string, a ...any) { got = append(got, fmt.Sprintf(f, a...)) }})
		if !slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, want) }) {
			t.Errorf("%q: warnings %q; want %q", rules, got, want)
		}
	}
}

func TestNoSubstitution(t *testing.T) {
	tab := regexp.Parse("t", []byte("/^(.*)$/ |$1\n/x/ plain"), table.Options{NoRegSub: true})
	if got, _, _ := tab.Lookup(context.Background(), "x"); got != "plain" {
		t.Errorf("got %q: a rule with $1 was used in an alias table", got)
	}
}

func TestInline(t *testing.T) {
	tab, err := regexp.Open("{{/^a$/ x}, { /^b{2}$/ y }}", table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tabletest.Run(t, tab, tabletest.Case{Entries: map[string]string{"a": "x", "bb": "y"}, Missing: []string{"b"}})
	if _, err := regexp.Open("{/a/ x}", table.Options{}); err == nil || err.Error() != `no '{' at start of text in "/a/"` {
		t.Errorf("rule without braces: %v", err)
	}
}

func FuzzTable(f *testing.F) {
	f.Add("/^(a|b)*[[:alpha:]]{1,2}$/ x$1", "aab")
	f.Add("if !/a/x\n!/[^]-z]/im y\nendif", "é")
	f.Add(`/\(a\)\{2\}\+/x $1`, "aa")
	f.Fuzz(func(t *testing.T, rules, key string) {
		if len(rules) > 2000 {
			return
		}
		tab := regexp.Parse("t", []byte(rules), table.Options{})
		value, found, err := tab.Lookup(context.Background(), key)
		if err != nil {
			t.Fatal(err)
		}
		// An answer consists of what the rules and the key hold.
		if !found && value != "" || strings.Trim(value, rules+key) != "" {
			t.Fatalf("%q, %v", value, found)
		}
	})
}
