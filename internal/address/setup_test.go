package address_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posthaste/internal/address"
	"posthaste/internal/config"
	"posthaste/internal/table"
	"posthaste/internal/table/open"
)

// setup makes the parameters of a main.cf text. Tables are files given as
// name and text; $dir stands for their directory.
func setup(t testing.TB, main string, files map[string]string) (address.Params, address.Deps, *warnings) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	base := "compatibility_level = 3.6\nmyhostname = mx.example.com\nmydomain = example.com\nmyorigin = example.com\n" +
		"mydestination = example.com, mx.example.com, localhost\ninet_interfaces = 127.0.0.1\n" +
		"relay_domains =\nlocal_recipient_maps =\ndir = " + dir + "\n"
	file, err := config.ParseMain("main.cf", []byte(base+main))
	if err != nil {
		t.Fatal(err)
	}
	snap, err := config.New(file, config.NewCatalog(address.Params{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	var p address.Params
	if err := snap.Bind(&p); err != nil {
		t.Fatal(err)
	}
	w := &warnings{}
	o := open.New(table.Options{})
	t.Cleanup(func() { o.Close() })
	return p, address.Deps{Tables: o, Own: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("2001:db8::1")}, Log: w}, w
}

type warnings struct{ lines []string }

func (w *warnings) Warning(format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

func (w *warnings) String() string { return strings.Join(w.lines, "\n") }
