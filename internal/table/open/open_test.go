package open

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"posthaste/internal/table"
	"posthaste/internal/table/hash"
	"posthaste/internal/table/tabletest"
)

var ctx = context.Background()

func writeHash(t *testing.T, path string, entries map[string]string) {
	t.Helper()
	b := hash.NewBuilder()
	for k, v := range entries {
		b.Set(k, v)
	}
	if err := b.WriteFile(path, hash.Owner{Mode: 0o644, UID: -1, GID: -1}); err != nil {
		t.Fatal(err)
	}
}

// TestConformance runs the suite on every type as services see it.
func TestConformance(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	os.WriteFile(text, []byte("Key value one\nother two\n"), 0o600)
	writeHash(t, text, map[string]string{"key": "value one", "other": "two"})
	entries := map[string]string{"key": "value one", "other": "two"}
	folds := tabletest.Case{Entries: entries, Missing: []string{"none"}, Folds: true}
	total := func(value string) tabletest.Case {
		return tabletest.Case{Entries: map[string]string{"x": value}, Total: true}
	}
	cases := map[string]tabletest.Case{
		"hash:" + text:                                  folds,
		"btree:" + text:                                 folds,
		"proxy:hash:" + text:                            folds,
		"texthash:" + text:                              folds,
		"inline:{{Key = value one},other=two}":          folds,
		"inline:{empty=}":                               {Entries: map[string]string{"empty": ""}},
		"regexp:{{/^key$/ value one}, {/^other$/ two}}": folds,
		"cidr:{{1.2.3.4 x}}":                            {Entries: map[string]string{"1.2.3.4": "x"}, Missing: []string{"1.2.3.5"}},
		"static:v":                                      total("v"),
		"static:{two words}":                            total("two words"),
		"randmap:{v}":                                   total("v"),
		"randmap:{{v w}, {v w}}":                        total("v w"),
		"nis:mail.aliases":                              {Missing: []string{"root"}},
		"environ:x":                                     {Missing: []string{"NO_SUCH_VARIABLE"}},
		"fail:text":                                     {Fails: true},
		"nosuch:x":                                      {Fails: true},
		"hash:" + dir + "/missing":                      {Fails: true},
		"regexp:" + dir + "/missing":                    {Fails: true},
		"unix:nosuch":                                   {Fails: true},
		"inline:{}":                                     {Fails: true},
		"pipemap:{inline:{a=b,c=d},inline:{b=e}}":       {Entries: map[string]string{"a": "e"}, Missing: []string{"b", "c"}},
		"unionmap:{inline:{a=1},inline:{a=2,b=3}}":      {Entries: map[string]string{"a": "1,2", "b": "3"}, Folds: true},
		"unionmap:{fail:x,static:y}":                    {Fails: true},
		"pipemap:{static:a,fail:x}":                     {Fails: true},
		"unix:passwd.byname":                            {Missing: []string{"no-such-user"}},
		"unix:group.byname":                             {Missing: []string{"no-such-group"}},
	}
	o := New(table.Options{})
	t.Cleanup(func() { o.Close() })
	for spec, c := range cases {
		t.Run(strings.ReplaceAll(spec, "/", "_"), func(t *testing.T) { tabletest.Run(t, o.Open(spec), c) })
	}
}

func TestKinds(t *testing.T) {
	o := New(table.Options{})
	for spec, want := range map[string]table.Kind{
		"inline:{a=b}": table.Exact, "static:x": table.Exact, "regexp:{{/a/ b}}": table.Pattern, "cidr:{{1.1.1.1 b}}": table.Network,
		"proxy:regexp:{{/a/ b}}": table.Pattern, "unionmap:{static:x}": table.Exact, "pipemap:{static:x,regexp:{{/a/ b}}}": table.Pattern,
	} {
		if got := o.Open(spec).Kind; got != want {
			t.Errorf("%s: kind %d, want %d", spec, got, want)
		}
	}
}

// The texts are those that postmap of Postfix 3.7 prints.
func TestOpenErrors(t *testing.T) {
	o := New(table.Options{})
	for spec, want := range map[string]string{
		"inline:{a}":            `missing '=' after attribute name: "inline:{a}"; need "inline:{name=value...}"`,
		"inline:a=b":            `bad syntax: "inline:a=b"; need "inline:{name=value...}"`,
		"inline:{{a = x}b=c}":   `syntax error after '}' in "{a = x}b=c": "inline:{{a = x}b=c}"; need "inline:{name=value...}"`,
		"static:{ x y }z":       `bad static:name syntax: syntax error after '}' in "{ x y }z"`,
		"static:":               `open dictionary: expecting "type:name" form instead of "static:"`,
		"unionmap:{}":           `bad syntax: "unionmap:{}"; need "unionmap:{type:name...}"`,
		"pipemap:x":             `bad syntax: "pipemap:x"; need "pipemap:{type:name...}"`,
		"randmap:{}":            `bad syntax: "randmap:{}"; need "randmap:{value...}"`,
		"unix:foo":              `unknown table: unix:foo`,
		"foo:bar":               `unsupported dictionary type: foo`,
		"texthash:/nonexistent": `open database /nonexistent: No such file or directory`,
		"regexp:/nonexistent":   `open /nonexistent: No such file or directory`,
	} {
		_, err := o.OpenNow(spec)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v; want %s", spec, err, want)
		}
	}
}

func TestSharing(t *testing.T) {
	o := New(table.Options{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { o.Open("inline:{a=b}") })
	}
	wg.Wait()
	if a, b := o.Open("inline:{a=b}"), o.Open("inline:{a=b}"); a.Table != b.Table {
		t.Error("one specification gave two tables")
	}
}

// clock is a hand-turned clock for the opener.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	c.at = c.at.Add(d)
	c.mu.Unlock()
}

func lookup(t *testing.T, tab table.Table, key string) string {
	t.Helper()
	v, _, err := tab.Lookup(ctx, key)
	if err != nil {
		return "error: " + err.Error()
	}
	return v
}

func TestChangeIsNoticed(t *testing.T) {
	var warnings []string
	c := &clock{at: time.Now().Add(time.Hour)}
	o := New(table.Options{Warn: func(f string, a ...any) { warnings = append(warnings, fmt.Sprintf(f, a...)) }})
	o.now = c.now
	path := filepath.Join(t.TempDir(), "m")
	step := func(want string) {
		t.Helper()
		if got := lookup(t, o.Open("hash:"+path), "k"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	unavailable := "error: hash:" + path + " is unavailable. open database " + path + ".db"
	step(unavailable + ": No such file or directory")
	writeHash(t, path, map[string]string{"k": "one"})
	step(unavailable + ": No such file or directory") // not looked at yet
	c.pass(time.Second)
	step("one")
	writeHash(t, path, map[string]string{"k": "two"})
	step("one")
	c.pass(time.Second)
	step("two")
	os.Remove(path + ".db")
	c.pass(time.Second)
	step("two") // between removal and the new file
	os.WriteFile(path+".db", make([]byte, 100), 0o600)
	c.pass(time.Second)
	step(unavailable + ": not a Posthaste hash file: run postmap")
	c.pass(time.Second)
	writeHash(t, path, map[string]string{"k": "three"})
	step("three")
	if len(warnings) != 2 {
		t.Errorf("warnings %q; want one per failure", warnings)
	}
}

func TestFileBeingEdited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	os.WriteFile(path, []byte("k one\n"), 0o600)
	now := time.Now()
	os.Chtimes(path, now.Add(-time.Minute), now.Add(-time.Minute))
	c := &clock{at: now}
	o := New(table.Options{})
	o.now = c.now
	tab := o.Open("texthash:" + path)
	c.pass(2 * time.Second)
	os.WriteFile(path, []byte("k two\n"), 0o600)
	os.Chtimes(path, c.now(), c.now())
	if got := lookup(t, tab, "k"); got != "one" {
		t.Errorf("a file that changed this moment was read: %q", got)
	}
	c.pass(time.Second)
	if got := lookup(t, tab, "k"); got != "two" {
		t.Errorf("got %q, want two", got)
	}
}

func TestLookupsDuringReplacement(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	writeHash(t, path, map[string]string{"k": "v"})
	c := &clock{at: time.Now().Add(time.Hour)}
	o := New(table.Options{})
	o.now = c.now
	tab := o.Open("hash:" + path)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 300 {
				if v, found, err := tab.Lookup(ctx, "k"); v != "v" || !found || err != nil {
					t.Errorf("%q, %v, %v", v, found, err)
					return
				}
			}
		})
	}
	for range 20 {
		writeHash(t, path, map[string]string{"k": "v"})
		c.pass(time.Second)
	}
	wg.Wait()
}

func TestUTF8(t *testing.T) {
	o := New(table.Options{UTF8: true})
	if _, found, err := o.Open("static:x").Lookup(ctx, "a\xff"); found || err != nil {
		t.Errorf("malformed key: %v, %v; want not found", found, err)
	}
	if _, _, err := o.Open("static:x\xff").Lookup(ctx, "a"); err == nil {
		t.Error("malformed value: no error")
	}
}

func TestNoFold(t *testing.T) {
	o := New(table.Options{NoFold: true})
	if got := lookup(t, o.Open("inline:{Key=v}"), "Key"); got != "v" {
		t.Errorf("got %q", got)
	}
	if got := lookup(t, o.Open("inline:{Key=v}"), "key"); got != "" {
		t.Errorf("case was folded: %q", got)
	}
}

func TestListing(t *testing.T) {
	o := New(table.Options{UTF8: true})
	n := 0
	if err := table.Each(o.Open("inline:{a=b,c=d}").Table, func(string, string) bool { n++; return true }); err != nil || n != 2 {
		t.Errorf("%d entries, %v", n, err)
	}
	if err := table.Each(o.Open("regexp:{{/a/ b}}").Table, nil); !errors.Is(err, table.ErrNotListable) {
		t.Errorf("regexp: %v", err)
	}
}

func FuzzInline(f *testing.F) {
	f.Add("{a=b, {c = d}}", "a")
	f.Add("{{}}", "")
	o := New(table.Options{})
	f.Fuzz(func(t *testing.T, name, key string) {
		for _, typ := range []string{"inline", "static", "randmap"} {
			if tab, err := o.open(typ + ":" + name); err == nil {
				if _, _, err := tab.Lookup(ctx, key); err != nil {
					t.Errorf("%s: %v", typ, err)
				}
			}
		}
	})
}
