package table

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// Warn receives one warning without prefix and line end: a rule that is
// skipped, a duplicate entry. It may be called from several goroutines. The
// receiver escapes control bytes.
type Warn func(format string, args ...any)

const separators = ", \t\r\n"

// SplitSpec splits a table specification `type:name`.
func SplitSpec(spec string) (typ, name string, err error) {
	typ, name, ok := strings.Cut(spec, ":")
	if !ok || typ == "" || name == "" {
		return "", "", fmt.Errorf("open dictionary: expecting \"type:name\" form instead of %q", spec)
	}
	return typ, name, nil
}

// Unbrace returns the text between the braces of `{text}`, without the white
// space next to them.
func Unbrace(group string) (string, error) {
	if !strings.HasPrefix(group, "{") {
		return "", fmt.Errorf("no '{' at start of text in %q", group)
	}
	depth := 0
	for i := 0; i < len(group); i++ {
		switch group[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth > 0 {
			continue
		}
		if strings.Trim(group[i+1:], separators) != "" {
			return "", fmt.Errorf("syntax error after '}' in %q", group)
		}
		return strings.Trim(group[1:i], " \t\r\n"), nil
	}
	return "", fmt.Errorf("missing '}' in %q", group)
}

// ErrorText is the text of err without the Go words around a system error:
// "No such file or directory", as the C library writes it and as analysers
// of logs know it.
func ErrorText(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// FileError is a failed system call on a file, in one line: `what: No such
// file or directory`. It keeps the cause for errors.Is.
func FileError(what string, err error) error { return &fileError{what, err} }

type fileError struct {
	what string
	err  error
}

func (e *fileError) Error() string { return e.what + ": " + ErrorText(e.err) }
func (e *fileError) Unwrap() error { return e.err }
