package texthash_test

import (
	"context"
	"testing"

	"posthaste/internal/table"
	"posthaste/internal/table/hash"
	"posthaste/internal/table/source"
	"posthaste/internal/table/texthash"
)

// FuzzParse compares the table with the one that postmap would write of the
// same text: both hold the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte("# c\nfoo bar\n  baz\n\"a b\" c\n"), true)
	f.Add([]byte("Foo 1\nfoo 2\n\xff x\n"), false)
	f.Fuzz(func(t *testing.T, data []byte, utf8 bool) {
		opts := table.Options{UTF8: utf8}
		tab, err := texthash.Parse("t", data, opts)
		if err != nil {
			return
		}
		want := make(map[string]string)
		err = source.Entries("t", data, utf8, func(string, ...any) {}, func(e source.Entry) error {
			if key := opts.Key(e.Key); want[key] == "" {
				want[key] = e.Value
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		b := hash.NewBuilder()
		err = tab.Each(func(key, value string) bool {
			b.Set(key, value)
			if want[key] != value || value == "" {
				t.Errorf("%q: %q, want %q", key, value, want[key])
			}
			delete(want, key)
			return true
		})
		if err != nil || len(want) > 0 {
			t.Errorf("%v; missing %q", err, want)
		}
		for key := range want {
			if _, found, err := tab.Lookup(context.Background(), key); found || err != nil {
				t.Errorf("%q is found but not listed, %v", key, err)
			}
		}
	})
}
