package unix_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"posthaste/internal/table/tabletest"
	"posthaste/internal/table/unix"
)

func TestConformance(t *testing.T) {
	tab := unix.Parse([]byte("# c\nroot:x:0:0:root:/root:/bin/sh\n+nis::::::\nbad line\nmail:x:8:8::/var/mail:\nroot:x:1:1:::\n"))
	tabletest.Run(t, tab, tabletest.Case{
		Entries: map[string]string{"root": "root:x:0:0:root:/root:/bin/sh", "mail": "mail:x:8:8::/var/mail:"},
		Missing: []string{"+nis", "bad line", "Root", "root:x"},
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("root:x:0:0:root:/root:/bin/sh\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tab := unix.Parse(data)
		for line := range strings.SplitSeq(string(data), "\n") {
			name, _, _ := strings.Cut(line, ":")
			value, found, err := tab.Lookup(context.Background(), name)
			if err != nil || found && (!strings.HasPrefix(value, name+":") || !bytes.Contains(data, []byte(value))) {
				t.Errorf("%q: %q, %v", name, value, err)
			}
		}
	})
}
