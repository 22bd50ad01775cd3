package table_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posthaste/internal/table"
	"posthaste/internal/table/open"
)

var ctx = context.Background()

func TestStringList(t *testing.T) {
	file := filepath.Join(t.TempDir(), "names")
	os.WriteFile(file, []byte("# comment\nfromfile, other\n!not\n"), 0o600)
	o := open.New(table.Options{})
	for _, c := range []struct {
		list, s string
		want    bool
	}{
		{"", "a", false},
		{"a, b", "B", true},
		{"!a, static:all", "a", false},
		{"!a, static:all", "b", true},
		{"!!a", "a", true},
		{file, "fromfile", true},
		{"!" + file + " static:all", "other", false},
		{"!" + file + " static:all", "not", true},
		{"inline:{x=1}", "X", true},
		{"!inline:{x=1}, x", "x", false},
		{"regexp:{{/^a/ x}}", "abc", true},
	} {
		l := table.NewStringList(o, "test", c.list)
		if got, err := l.Match(ctx, c.s); got != c.want || err != nil {
			t.Errorf("%q matches %q: %v, %v; want %v", c.list, c.s, got, err, c.want)
		}
	}
}

func TestListErrors(t *testing.T) {
	o := open.New(table.Options{})
	for list, want := range map[string]string{
		"/nonexistent/file":       "test: open file /nonexistent/file: No such file or directory",
		"fail:x":                  "test: fail:x: Application error",
		"hash:/nonexistent/x":     "test: hash:/nonexistent/x: hash:/nonexistent/x is unavailable. open database /nonexistent/x.db: No such file or directory",
		"nosuch:x":                "test: nosuch:x: nosuch:x is unavailable. unsupported dictionary type: nosuch",
		"!":                       "test: no pattern after '!'",
		"b, fail:x, a":            "test: fail:x: Application error",
		"static:, static:all":     `test: static:: static: is unavailable. open dictionary: expecting "type:name" form instead of "static:"`,
		"proxy:proxy:fail:x, all": "test: proxy:proxy:fail:x: Application error",
	} {
		got, err := table.NewStringList(o, "test", list).Match(ctx, "a")
		if got || err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v; want %s", list, got, err, want)
		}
	}
	if got, err := table.NewStringList(o, "test", "a, fail:x").Match(ctx, "a"); !got || err != nil {
		t.Errorf("a match before the broken table: %v, %v", got, err)
	}
}

func TestDomainList(t *testing.T) {
	o := open.New(table.Options{})
	for _, c := range []struct {
		list, name    string
		plain, parent bool
	}{
		{"example.com", "example.com", true, true},
		{"example.com", "EXAMPLE.com", true, true},
		{"example.com", "a.example.com", false, true},
		{"example.com", "notexample.com", false, false},
		{".example.com", "a.b.example.com", true, false},
		{".example.com", "example.com", false, false},
		{"!b.example.com, .example.com, example.com", "b.example.com", false, false},
		{"inline:{example.com=1}", "a.example.com", false, true},
		{"inline:{.example.com=1}", "a.b.example.com", true, false},
		{"inline:{com=1}", "a.b.com", false, true},
		{"regexp:{{/^b\\.com$/ x}}", "a.b.com", false, false},
	} {
		for parents, want := range map[bool]bool{false: c.plain, true: c.parent} {
			got, err := table.NewDomainList(o, "test", c.list, parents).Match(ctx, c.name)
			if got != want || err != nil {
				t.Errorf("%q (parents %v) matches %q: %v, %v; want %v", c.list, parents, c.name, got, err, want)
			}
		}
	}
}

func TestAddressList(t *testing.T) {
	o := open.New(table.Options{})
	for _, c := range []struct {
		list, name, addr string
		want             bool
	}{
		{"127.0.0.0/8 [::1]/128", "", "127.0.0.1", true},
		{"127.0.0.0/8 [::1]/128", "", "::1", true},
		{"127.0.0.0/8 [::1]/128", "", "10.0.0.1", false},
		{"!10.0.0.1, 10.0.0.0/24", "", "10.0.0.1", false},
		{"!10.0.0.1, 10.0.0.0/24", "", "10.0.0.2", true},
		{"[2001:DB8::]/32", "", "2001:db8::5", true},
		{"[fe80::]/10", "", "fe80::1%eth0", true},
		{"example.com", "example.com", "10.0.0.1", true},
		{"10.0.0.1", "unknown", "10.0.0.1", true},
		{"cidr:{{10.0.0.0/8 x}}", "h.test", "10.9.9.9", true},
		{"inline:{h.test=1}", "h.test", "10.9.9.9", true},
		{"inline:{10.9.9.9=1}", "h.test", "10.9.9.9", true},
		{"10.0.0.0/8", "10.0.0.1", "", false},
		{"10.0.0.0/8", "", "junk", false},
	} {
		got, err := table.NewAddressList(o, "mynetworks", c.list, false).Match(ctx, c.name, c.addr)
		if got != c.want || err != nil {
			t.Errorf("%q matches %q [%s]: %v, %v; want %v", c.list, c.name, c.addr, got, err, c.want)
		}
	}
	_, err := table.NewAddressList(o, "mynetworks", "10.1.2.3/8", false).Match(ctx, "", "10.0.0.1")
	if err == nil || !strings.Contains(err.Error(), "non-null host address bits") {
		t.Errorf("network with host bits: %v", err)
	}
}

func TestParentMatches(t *testing.T) {
	o := open.New(table.Options{})
	if !table.ParentMatches(o, "mynetworks, relay_domains", "relay_domains") || table.ParentMatches(o, "mynetworks", "relay_domains") {
		t.Error("parent_domain_matches_subdomains is not read as a list of names")
	}
}

func TestMaps(t *testing.T) {
	o := open.New(table.Options{})
	m := table.NewMaps(o, "virtual_alias_maps", "inline:{a=1}, inline:{a=2, b={3 4}} regexp:{{/^c/ re}} inline:{e=}, fail:z")
	if m.Empty() || len(m.Tables()) != 5 {
		t.Fatalf("%d tables", len(m.Tables()))
	}
	for _, c := range []struct{ key, want, err string }{
		{"a", "1", ""},
		{"c1", "re", ""},
		{"e", "", `virtual_alias_maps: inline:{e=}: lookup of "e" returns an empty string result`},
		{"x", "", "virtual_alias_maps: fail:z: Application error"},
	} {
		got, found, err := m.Lookup(ctx, c.key)
		if got != c.want || found != (c.want != "") || (err != nil) != (c.err != "") || err != nil && err.Error() != c.err {
			t.Errorf("%q: %q, %v, %v; want %q, %q", c.key, got, found, err, c.want, c.err)
		}
	}
	if _, found, err := m.LookupPartial(ctx, "c1"); found || err == nil {
		t.Errorf("a part of a key reached the regexp table: %v, %v", found, err)
	}
	var none *table.Maps
	if _, found, err := none.Lookup(ctx, "a"); found || err != nil || !none.Empty() {
		t.Error("nil is not an empty list")
	}
}

func FuzzMatchList(f *testing.F) {
	f.Add("!a, .b.c inline:{x=y} [::1]/128 10.0.0.0/8", "a.b.c", "10.0.0.1")
	o := open.New(table.Options{})
	f.Fuzz(func(t *testing.T, list, name, addr string) {
		if strings.Contains(list, "/") && !strings.HasPrefix(list, "[") { // no files
			return
		}
		table.NewAddressList(o, "t", list, true).Match(ctx, name, addr)
		table.NewDomainList(o, "t", list, false).Match(ctx, name)
	})
}
