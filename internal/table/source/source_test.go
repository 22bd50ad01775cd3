package source_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"posthaste/internal/table"
	"posthaste/internal/table/source"
)

type reader func(string, []byte, bool, table.Warn, func(source.Entry) error) error

func read(t *testing.T, r reader, text string) (entries, warnings []string) {
	t.Helper()
	warn := func(f string, a ...any) { warnings = append(warnings, fmt.Sprintf(f, a...)) }
	err := r("m", []byte(text), true, warn, func(e source.Entry) error {
		entries = append(entries, fmt.Sprintf("%d %s=%s", e.Line, e.Key, e.Value))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return entries, warnings
}

// The answers are those of Postfix 3.7.
func TestEntries(t *testing.T) {
	for _, c := range []struct{ text, entry, warning string }{
		{"foo bar", "1 foo=bar", ""},
		{"# c\n\nfoo\tbar baz \r\n", "3 foo=bar baz", ""},
		{"foo\n  bar", "1 foo=bar", ""},
		{"a v\n# c\n\n more\n#x\n  #y\n  end\n", "1 a=v more  end", ""},
		{`"a b\"c" quoted`, `1 "a b\"c"=quoted`, ""},
		{`"c d"@x v`, `1 "c d"@x=v`, ""},
		{`h\ i v`, `1 h\ i=v`, ""},
		{`q "quoted value"`, `1 q="quoted value"`, ""},
		{"Key: colon", "1 Key:=colon", `m, line 1: record is in "key: value" format; is this an alias file?`},
		{"novalue", "", "m, line 1: expected format: key whitespace value -- ignoring this line"},
		{"bad\xff v", "", "m, line 1: non-UTF-8 input \"bad\xff v\" -- ignoring this line"},
		{"a b\x00c", "", "m, line 1: null byte in input \"a b\x00c\" -- ignoring this line"},
		{`"unterminated foo`, "", `m, line 1: unbalanced '"' in '"unterminated foo' -- ignoring this line`},
		{"  lead x", "", `m, line 1: logical line must not start with whitespace: "  lead x"`},
	} {
		entries, warnings := read(t, source.Entries, c.text)
		if strings.Join(entries, "|") != c.entry || strings.Join(warnings, "|") != c.warning {
			t.Errorf("%q: %q, %q; want %q, %q", c.text, entries, warnings, c.entry, c.warning)
		}
	}
}

// The answers are those of Postfix 3.7.
func TestAliases(t *testing.T) {
	const needPair = "m, line 1: need name:value pair"
	for _, c := range []struct{ text, entry, warning string }{
		{"root: me,you", "1 root=me, you", ""},
		{"b2:   me ,  you (c)", "1 b2=me, you (c)", ""},
		{"b3 : a  b", "1 b3=a b", ""},
		{`b5: "|/bin/sh -c \"x  y\"", :include:/x/y`, `1 b5="|/bin/sh -c \"x  y\"", :include:/x/y`, ""},
		{"x: \"|cmd arg\", b,\n e", `1 x="|cmd arg", b, e`, ""},
		{`"a b": z`, "1 a b=z", ""},
		{"a  b: z", "1 a b=z", ""},
		{`"quo@ted": y`, "1 quo@ted=y", ""},
		{`"q\"x": t`, `1 q"x=t`, ""},
		{"B-A-C: x # not comment", "1 B-A-C=x # not comment", ""},
		{"b15: /file/name:x", "1 b15=/file/name:x", ""},
		{`b8: ""`, `1 b8=""`, ""},
		{"nocolon foo", "", needPair},
		{"empty:", "", needPair},
		{"a,b: x", "", needPair},
		{`"unterm: z`, "", needPair},
		{":z", "", needPair},
		{`"": x`, "", "m, line 1: empty lookup key value is not allowed"},
		{"user@dom: z", "", "m, line 1: name must be local"},
	} {
		entries, warnings := read(t, source.Aliases, c.text)
		if strings.Join(entries, "|") != c.entry || strings.Join(warnings, "|") != c.warning {
			t.Errorf("%q: %q, %q; want %q, %q", c.text, entries, warnings, c.entry, c.warning)
		}
	}
}

func TestRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules")
	os.WriteFile(file, []byte("/a/ b\n"), 0o600)
	for in, want := range map[string]string{
		file:                       "/a/ b\n",
		"{{/a/ x}, { /b{2}/ y } }": "/a/ x\n/b{2}/ y\n",
		"{}":                       "",
		"{/a/ x}":                  `error: no '{' at start of text in "/a/"`,
		"/nonexistent/f":           "error: open /nonexistent/f: No such file or directory",
	} {
		data, err := source.Read(in)
		got := string(data)
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want {
			t.Errorf("Read(%q): %q, want %q", in, got, want)
		}
	}
}

func FuzzSources(f *testing.F) {
	f.Add([]byte("# c\nfoo bar\n  baz\n\"a b\" c\n"))
	f.Add([]byte("root: me, \"|cmd x\" (c), \\you\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, r := range []reader{source.Entries, source.Aliases} {
			var first []string
			r("m", data, false, func(string, ...any) {}, func(e source.Entry) error {
				if e.Key == "" || e.Value == "" || e.Line < 1 || strings.Contains(e.Key+e.Value, "\n") {
					t.Errorf("bad entry %+v", e)
				}
				first = append(first, e.Key)
				return nil
			})
			if len(first) > slices.Max([]int{1, len(data)}) {
				t.Errorf("%d entries from %d bytes", len(first), len(data))
			}
		}
	})
}
