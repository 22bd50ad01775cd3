// Package unix is the unix: table: unix:passwd.byname and unix:group.byname,
// from /etc/passwd and /etc/group. It reads these files when it is opened.
package unix

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"posthaste/internal/table"
	"posthaste/internal/table/source"
)

// Table holds one line of the file per name.
type Table struct{ lines map[string]string }

// File is the file behind a table name.
func File(name string) (path string, ok bool) {
	switch name {
	case "passwd.byname":
		return "/etc/passwd", true
	case "group.byname":
		return "/etc/group", true
	}
	return "", false
}

// Open reads the table with this name.
func Open(name string) (*Table, error) {
	path, ok := File(name)
	if !ok {
		return nil, fmt.Errorf("unknown table: unix:%s", name)
	}
	data, err := source.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(data), nil
}

// Parse reads the text of a passwd or group file. The value of a name is its
// whole line, as getpwnam(3) and Postfix give it.
func Parse(data []byte) *Table {
	t := &Table{make(map[string]string)}
	for raw := range bytes.Lines(data) {
		line := strings.TrimRight(string(raw), "\r\n")
		name, _, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name[:1], "#+-") { // + and - are NIS compatibility
			continue
		}
		if _, twice := t.lines[name]; !twice {
			t.lines[name] = line
		}
	}
	return t
}

// Lookup finds a user or group. Names are compared as they are.
func (t *Table) Lookup(_ context.Context, key string) (string, bool, error) {
	value, found := t.lines[key]
	return value, found, nil
}

var _ table.Table = (*Table)(nil)
