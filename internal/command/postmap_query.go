package command

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"posthaste/internal/table"
	"posthaste/internal/table/hash"
	"posthaste/internal/table/open"
)

// queryAll is -q: for one key, or for each that standard input has.
func (t *tableTool) queryAll(specs []string) (bool, error) {
	opener := open.New(t.tableOptions())
	defer opener.Close()
	out := bufio.NewWriter(t.env.Stdout)
	found, err := t.queryKeys(opener, specs, out)
	return found, errors.Join(err, out.Flush())
}

func (t *tableTool) queryKeys(opener *open.Opener, specs []string, out io.Writer) (bool, error) {
	if *t.queryKey != "-" {
		value, found, err := t.query(opener, specs, *t.queryKey)
		if found && t.json {
			t.print(out, *t.queryKey, value)
		} else if found {
			fmt.Fprintln(out, value)
		}
		return found, err
	}
	any := false
	err := t.keys(func(key string) error {
		value, found, err := t.query(opener, specs, key)
		if found {
			any = true
			t.print(out, key, value)
		}
		return err
	})
	return any, err
}

// query asks the tables in order; the first that knows the key answers.
func (t *tableTool) query(opener *open.Opener, specs []string, key string) (string, bool, error) {
	for _, spec := range specs {
		tab, err := opener.OpenNow(spec)
		if err != nil {
			return "", false, err
		}
		value, found, err := tab.Lookup(context.Background(), key)
		if err != nil {
			return "", false, fmt.Errorf("table %s: query error: %w", spec, err)
		}
		if !found {
			continue
		}
		if value == "" {
			t.warn("table %s: key %s: empty string result is not allowed", spec, key)
			t.warn("table %s should return NO RESULT in case of NOT FOUND", spec)
		}
		value, err = t.decode(spec, key, value)
		return value, err == nil, err
	}
	return "", false, nil
}

// decode undoes the encoding of -F.
func (t *tableTool) decode(spec, key, value string) (string, error) {
	if !t.fileValues {
		return value, nil
	}
	plain, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return "", fmt.Errorf("table %s: key %s: malformed base64 value", spec, key)
	}
	return string(plain), nil
}

// print writes one entry in the form of the table's source, or as JSON.
func (t *tableTool) print(out io.Writer, key, value string) {
	switch {
	case t.json:
		k, _ := json.Marshal(key)
		v, _ := json.Marshal(value)
		fmt.Fprintf(out, "{%s: %s}\n", k, v)
	case t.aliases:
		fmt.Fprintf(out, "%s:\t%s\n", key, value)
	default:
		fmt.Fprintf(out, "%s\t%s\n", key, value)
	}
}

// keys calls each for every key on standard input: its lines, or the header
// or body lines of a message.
func (t *tableTool) keys(each func(string) error) error {
	in := bufio.NewReader(t.env.Stdin)
	inHeader := t.header || t.body
	var field string // a header field not complete yet
	flush := func() error {
		key := field
		field = ""
		if key == "" || !t.header {
			return nil
		}
		return each(key)
	}
	for {
		raw, err := in.ReadString('\n')
		if err != nil && err != io.EOF {
			return fmt.Errorf("read standard input: %s", table.ErrorText(err))
		}
		if raw == "" {
			return flush()
		}
		line := strings.TrimRight(raw, "\r\n")
		switch {
		case inHeader && field != "" && line != "" && (line[0] == ' ' || line[0] == '\t'):
			field += "\n" + line
			continue
		case inHeader:
			if err := flush(); err != nil {
				return err
			}
			if isHeaderField(line) {
				field = line
				continue
			}
			inHeader = false
		}
		if t.header && !t.body {
			return nil // the header is over
		}
		if err := each(line); err != nil {
			return err
		}
	}
}

// isHeaderField tells whether a line begins as RFC 5322 section 2.2 says:
// printable characters up to a colon, before which Postfix accepts blanks.
func isHeaderField(line string) bool {
	name, _, ok := strings.Cut(line, ":")
	name = strings.TrimRight(name, " \t")
	return ok && name != "" && strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}

// listAll is -s.
func (t *tableTool) listAll(specs []string) error {
	opener := open.New(t.tableOptions())
	defer opener.Close()
	out := bufio.NewWriter(t.env.Stdout)
	for _, spec := range specs {
		tab, err := opener.OpenNow(spec)
		if err != nil {
			return err
		}
		var failed error
		err = table.Each(tab.Table, func(key, value string) bool {
			if value, failed = t.decode(spec, key, value); failed == nil {
				t.print(out, key, value)
			}
			return failed == nil
		})
		if err != nil {
			return fmt.Errorf("table %s: %w", spec, err)
		}
		if failed != nil {
			return failed
		}
	}
	return out.Flush()
}

// deleteAll is -d: it removes a key, or each key of standard input, from all
// tables.
func (t *tableTool) deleteAll(specs []string) (bool, error) {
	var keys []string
	if *t.deleteKey == "-" {
		if err := t.keys(func(key string) error { keys = append(keys, key); return nil }); err != nil {
			return false, err
		}
	} else {
		keys = []string{*t.deleteKey}
	}
	opts := t.tableOptions()
	any := false
	for _, spec := range specs {
		path, err := indexed(spec, "delete operations")
		if err != nil {
			return false, err
		}
		err = hash.Change(path, func(b *hash.Builder) (bool, error) {
			changed := false
			for _, key := range keys {
				changed = b.Delete(opts.Key(key)) || changed
			}
			any = any || changed
			return changed, nil
		})
		if err != nil {
			return false, err
		}
	}
	return any, nil
}

// indexed returns the source path of a table that postmap can write.
func indexed(spec, what string) (string, error) {
	typ, path, err := table.SplitSpec(spec)
	switch {
	case err != nil:
		return "", err
	case typ == "hash" || typ == "btree":
		return path, nil
	}
	for _, known := range open.Types() {
		if typ == known {
			return "", fmt.Errorf("unsupported dictionary type: %s does not support %s.", typ, what)
		}
	}
	return "", fmt.Errorf("unsupported dictionary type: %s", typ)
}
