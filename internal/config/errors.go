package config

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// Error is a fault in a configuration file. It prints as
// `FILE, line N: text`, the form administrators know from Postfix.
type Error struct {
	File string
	Line int // 1 is the first line; 0: no line (a default, a command-line option)
	Text string
	Err  error // cause, or nil; not part of Text
}

// Error makes *Error an error.
func (e *Error) Error() string {
	text := e.Text
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	switch {
	case e.File == "":
		return text
	case e.Line == 0:
		return e.File + ": " + text
	}
	return fmt.Sprintf("%s, line %d: %s", e.File, e.Line, text)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// openError words a failed open as the C library does, with a capital letter,
// because that is what log analysers and people search for.
func openError(path string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		text := errno.Error()
		return &openFailure{path, strings.ToUpper(text[:1]) + text[1:], err}
	}
	return &openFailure{path, err.Error(), err}
}

type openFailure struct {
	path, text string
	err        error
}

func (e *openFailure) Error() string { return "open " + e.path + ": " + e.text }

func (e *openFailure) Unwrap() error { return e.err }

// IsNotExist tells whether err says that a configuration file is missing.
func IsNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
