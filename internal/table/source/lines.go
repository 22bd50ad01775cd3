// Package source reads the text form of lookup tables: logical lines, the
// `key value` entries of postmap(1), the aliases(5) entries of postalias(1),
// and the rules that regexp and cidr tables take from a file or inline from
// main.cf. It reads files and touches nothing else.
package source

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"posthaste/internal/config"
	"posthaste/internal/table"
)

// MaxSize bounds a source file, in bytes.
const MaxSize = 1 << 30

// Lines yields the logical lines of a table source with the number of their
// first line. A line that begins with white space continues the one before;
// empty lines and lines whose first visible character is '#' are skipped, also
// between a line and its continuation. Line ends are removed, nothing else is.
func Lines(name string, data []byte, warn table.Warn) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		var text []byte
		first, number := 0, 0
		for raw := range bytes.Lines(data) {
			number++
			line := bytes.TrimSuffix(raw, []byte("\n"))
			visible := bytes.TrimLeft(line, " \t\r\n\v\f")
			if len(visible) == 0 || visible[0] == '#' {
				continue
			}
			switch {
			case len(visible) == len(line):
				if first > 0 && !yield(first, string(text)) {
					return
				}
				first, text = number, append(text[:0], line...)
			case first > 0:
				text = append(text, line...)
			default:
				warn("%s, line %d: logical line must not start with whitespace: \"%.30s\"", name, number, line)
			}
		}
		if first > 0 {
			yield(first, string(text))
		}
	}
}

// Read returns the rules of a table given by file name, or inline as
// `{{rule}, {rule} …}`: then each group becomes one line. The error says what
// could not be read, without the type of the table.
func Read(name string) ([]byte, error) {
	if !strings.HasPrefix(name, "{") {
		return ReadFile(name)
	}
	body, err := table.Unbrace(name)
	if err != nil {
		return nil, err
	}
	var data []byte
	for _, group := range config.SplitList(body) {
		rule, err := table.Unbrace(group)
		if err != nil {
			return nil, err
		}
		data = append(data, rule...)
		data = append(data, '\n')
	}
	return data, nil
}

// ReadFile reads a whole source file.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, table.FileError("open "+path, err)
	}
	defer f.Close()
	return ReadAll(path, f)
}

// ReadAll reads a source that is open already; path is for errors.
func ReadAll(path string, r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, table.FileError("read "+path, err)
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("read %s: larger than %d bytes", path, MaxSize)
	}
	return data, nil
}
