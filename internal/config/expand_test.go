package config

import (
	"strings"
	"testing"
)

func lookupIn(values map[string]string) scope {
	return func(name string) (string, bool, error) {
		v, ok := values[name]
		return v, ok, nil
	}
}

// The results are those of postconf -x.
func TestExpand(t *testing.T) {
	values := map[string]string{
		"mail_name": "Postfix", "mydomain": "example.com", "empty": "", "indirect": "$empty", "nested": "<$mydomain>",
	}
	for _, test := range []struct{ in, want string }{
		{"plain", "plain"},
		{"$mail_name.x", "Postfix.x"},
		{"${mail_name}$(mydomain)", "Postfixexample.com"},
		{"$$foo $$", "$foo $"},
		{"$nested", "<example.com>"},
		{"$nope|${nope}", "|"},
		{"${ mail_name }", "Postfix"},
		{"${mail_name?b:c}", "b:c"},
		{"${nope?b:c}", ""},
		{"${nope:dflt}${mail_name:dflt}", "dflt"},
		{"${mail_name?{a}:{b}}${nope?{a}:{b}}", "ab"},
		{"${mail_name?{a}:b}${nope ? {a} : b}", "a b"},
		{"${mail_name ? { a }  :  { b } }", " a "},
		{"${mail_name?{$mydomain}}", "example.com"},
		{"${mail_name?${nope:${mydomain}}}", "example.com"},
		// The test is on the value as written.
		{"${indirect?x}${indirect:y}${empty?x}${empty:y}", "xy"},
		{"${{3.6} <level {3.11} ? {yes} : {no}}", "yes"},
		{"${{3.6} ==level {3.6.0} ? {eq} : {ne}}", "eq"},
		{"${{3.6}>=level{3.5}?{L}}", "L"},
		{"${{a} == {b}?{x}:{y}}${{a}=={a}?{x}:{y}}${{ a}=={a}?{x}:{n}}", "yxn"},
		{"${{10}>{9}?{n}:{s}}${{ab}<{b}?{l}}${{a}!={b}?{t}}${{010}=={10}?{n10}}", "nltn10"},
		{"${{-1}<{2}?{neg}}${{2}<={1}?{a}:{b}}${{2}>={2}?{c}}", "negbc"},
		{"${{a} == {a}}|${{a} == {b}}|${{a} == {a} : {z}}", "true||"},
		{"${{$mail_name} == {Postfix} ? {$mydomain}}", "example.com"},
		{"${{a} == {a} ? q}", " q"},
	} {
		got, err := expand(test.in, lookupIn(values))
		if err != nil || got != test.want {
			t.Errorf("%s: %q, %v; want %q", test.in, got, err, test.want)
		}
	}
}

func TestExpandErrors(t *testing.T) {
	values := map[string]string{"a": "$b", "b": "$a", "mail_name": "Postfix"}
	values["big"] = strings.Repeat("$big2", 1000)
	values["big2"] = strings.Repeat("$big3", 1000)
	values["big3"] = ""
	for _, test := range []struct{ in, want string }{
		{"$a", `unreasonable macro call nesting: "`},
		{"$-", `empty macro name: "$-"`},
		{"x$", `empty macro name: "x$"`},
		{"${}", `empty macro name: "${}"`},
		{"${mail_name", `truncated macro reference: "${mail_name"`},
		{"$(mail_name}x", `truncated macro reference`},
		{"${a-b}", `attribute name syntax error at: "...a>>>-b"`},
		{"${mail_name?{a} {b}}", `":" expected at: "...mail_name?{a}>>>{b}"`},
		{"${{3.6} foo {3.11} ? {yes} : {no}}", `expected at: "...{3.6}>>>foo`},
		{"${{1} <level {x} ? {a} : {b}}", `malformed compatibility level syntax: "x"`},
		{"${mail_name?{a}:{b}c}", `end of macro expected`},
		{"$big", "more than 100000 macro calls"},
		{strings.Repeat("${x?{", 200) + strings.Repeat("}}", 200), "unreasonable macro call nesting"},
	} {
		_, err := expand(test.in, lookupIn(values))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.40s: error %v, want %s", test.in, err, test.want)
		}
	}
}

func TestLevel(t *testing.T) {
	for _, test := range []struct {
		text string
		want Level
		ok   bool
	}{
		{"0", Level{}, true},
		{"2", Level{2, 0, 0}, true},
		{"3.11", Level{3, 11, 0}, true},
		{"3.6.1", Level{3, 6, 1}, true},
		{"", Level{}, false}, {"abc", Level{}, false}, {"3.", Level{}, false}, {"1.2.3.4", Level{}, false},
		{"-1", Level{}, false}, {"3.99999", Level{}, false},
	} {
		got, err := ParseLevel(test.text)
		if (err == nil) != test.ok || test.ok && got != test.want {
			t.Errorf("%q: %v, %v", test.text, got, err)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"$a", "${a?{b}:{$c}}", "${{3.6} <level {$c} ? {x} : {y}}", "$(a:b)$$", "${{{", "${a?{{}"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		got, err := expand(text, lookupIn(map[string]string{"a": value, "b": "$a$a", "c": "3.6"}))
		if err == nil && !strings.Contains(text, "$") && got != text {
			t.Fatalf("%q became %q", text, got)
		}
		references(text)
	})
}
