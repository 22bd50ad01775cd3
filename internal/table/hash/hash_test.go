package hash_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"posthaste/internal/table/hash"
	"posthaste/internal/table/tabletest"
)

var owner = hash.Owner{Mode: 0o640, UID: -1, GID: -1}

func build(t testing.TB, entries map[string]string) string {
	t.Helper()
	b := hash.NewBuilder()
	for k, v := range entries {
		if err := b.Set(k, v); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "aliases")
	if err := b.WriteFile(path, owner); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConformance(t *testing.T) {
	entries := map[string]string{"root": "me", "empty": "", "8\xff": "bit\xfe", "long" + strings.Repeat("k", 5000): strings.Repeat("v", 70000)}
	for i := range 1000 {
		entries[fmt.Sprintf("key%d", i)] = fmt.Sprintf("value %d", i)
	}
	tab, err := hash.Open(build(t, entries))
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Close()
	tabletest.Run(t, tab, tabletest.Case{Entries: entries, Missing: []string{"nobody", "key1000", "Root"}})
	listed := make(map[string]string)
	if err := tab.Each(func(k, v string) bool { listed[k] = v; return true }); err != nil || !maps.Equal(listed, entries) {
		t.Errorf("Each: %v, %d of %d entries", err, len(listed), len(entries))
	}
}

func TestEmptyTable(t *testing.T) {
	tab, err := hash.Open(build(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Close()
	tabletest.Run(t, tab, tabletest.Case{})
}

func TestModeAndNoRemains(t *testing.T) {
	path := build(t, map[string]string{"a": "b"})
	info, err := os.Stat(path + ".db")
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v; want 0640", info.Mode(), err)
	}
	names, _ := os.ReadDir(filepath.Dir(path))
	if len(names) != 1 {
		t.Errorf("left in the directory: %v", names)
	}
}

func TestOpenErrors(t *testing.T) {
	db := make([]byte, 4096)
	binary.LittleEndian.PutUint32(db[12:], 0x00061561)
	btree := make([]byte, 4096)
	binary.BigEndian.PutUint32(btree[12:], 0x00053162)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"berkeley hash":  {db, "is a Berkeley DB file: run postmap"},
		"berkeley btree": {btree, "is a Berkeley DB file: run postmap"},
		"text":           {[]byte("root: me\n"), "not a Posthaste hash file: run postmap"},
		"empty":          {nil, "not a Posthaste hash file: run postmap"},
	} {
		path := filepath.Join(t.TempDir(), "x")
		os.WriteFile(path+".db", c.data, 0o600)
		_, err := hash.Open(path)
		if err == nil || !strings.HasSuffix(err.Error(), c.want) || !strings.Contains(err.Error(), path+".db") {
			t.Errorf("%s: %v; want …%s", name, err, c.want)
		}
	}
	_, err := hash.Open("/nonexistent/x")
	if err == nil || err.Error() != "open database /nonexistent/x.db: No such file or directory" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestDamageIsAnErrorNeverAnAnswer(t *testing.T) {
	path := build(t, map[string]string{"root": "me", "postmaster": "root"})
	good, _ := os.ReadFile(path + ".db")
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		os.WriteFile(path+".db", bad, 0o600)
		tab, err := hash.Open(path)
		if err != nil {
			continue
		}
		if v, found, err := tab.Lookup(context.Background(), "root"); found && (v != "me" || err != nil) {
			t.Errorf("byte %d changed: got %q, %v", i, v, err)
		}
		tab.Close()
	}
}

func TestUpdate(t *testing.T) {
	path := build(t, map[string]string{"a": "1", "b": "2"})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := hash.Update(path, owner, func(b *hash.Builder) (bool, error) {
				return true, b.Set(fmt.Sprintf("n%d", i), "x")
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	err := hash.Update(path, owner, func(b *hash.Builder) (bool, error) {
		if !b.Delete("a") || b.Delete("a") {
			t.Error("Delete does not tell what was there")
		}
		if b.Len() != 21 {
			t.Errorf("%d entries, want 21: an update was lost", b.Len())
		}
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	tab, err := hash.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Close()
	tabletest.Run(t, tab, tabletest.Case{Entries: map[string]string{"b": "2", "n7": "x"}, Missing: []string{"a"}})
}

func FuzzRead(f *testing.F) {
	b := hash.NewBuilder()
	b.Set("root", "me")
	b.Set("x", "")
	var file bytes.Buffer
	b.WriteTo(&file)
	f.Add(file.Bytes(), "root")
	f.Add([]byte{}, "")
	f.Fuzz(func(t *testing.T, data []byte, key string) {
		tab, err := hash.NewTable(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		// A damaged file may lack entries; it has none that is not in it.
		if value, found, err := tab.Lookup(context.Background(), key); found && (err != nil || !bytes.Contains(data, []byte(value))) {
			t.Errorf("%q: %q, %v", key, value, err)
		}
		n := 0
		tab.Each(func(k, v string) bool {
			if n++; n > len(data) || !bytes.Contains(data, []byte(k)) || !bytes.Contains(data, []byte(v)) {
				t.Fatalf("entry %d: %q = %q", n, k, v)
			}
			return true
		})
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add("a", "b", "c", "d")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		b := hash.NewBuilder()
		b.Set(k1, v1)
		b.Set(k2, v2)
		var file bytes.Buffer
		if n, err := b.WriteTo(&file); err != nil || n != int64(file.Len()) {
			t.Fatalf("wrote %d of %d bytes: %v", file.Len(), n, err)
		}
		tab, err := hash.NewTable(bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if v, found, err := tab.Lookup(context.Background(), k2); v != v2 || !found || err != nil {
			t.Errorf("%q: %q, %v, %v", k2, v, found, err)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	entries := make(map[string]string)
	for i := range 100_000 {
		entries[fmt.Sprintf("user%d@example.com", i)] = "someone@example.net"
	}
	tab, err := hash.Open(build(b, entries))
	if err != nil {
		b.Fatal(err)
	}
	defer tab.Close()
	for b.Loop() {
		tab.Lookup(context.Background(), "user4711@example.com")
	}
}
