package config

import (
	"fmt"
	"strings"
)

// Setting is one `name = value` line of main.cf. Value is as written, with
// continuation lines joined, without white space at its ends.
type Setting struct {
	Name, Value string
	Line        int
}

// MainFile is a parsed main.cf.
type MainFile struct {
	Path     string
	Settings []Setting // in file order; a name may occur more than once
	Warnings []string  // texts worth a warning, in Postfix's words

	text []byte
	last map[string]int // name → index in Settings of the entry that counts
}

// ReadMain reads and parses the main.cf at path.
func ReadMain(path string) (*MainFile, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return ParseMain(path, data)
}

// ParseMain parses the text of a main.cf. path is used in messages only. The
// last setting of a name counts; names nobody knows are kept.
func ParseMain(path string, data []byte) (*MainFile, error) {
	f := &MainFile{Path: path, text: data, last: make(map[string]int)}
	for _, line := range logicalLines(data) {
		if isSpace(line.text[0]) {
			// Postfix drops such a line with a warning; so a stray space at the
			// top of the file must not change what the file means here.
			f.warn("%s: logical line must not start with whitespace: \"%.30s\"", path, line.text)
			continue
		}
		name, value, err := SplitNameValue(line.text)
		if err != nil {
			return nil, &Error{File: path, Line: line.first, Text: fmt.Sprintf("%v: \"%s\"", err, excerpt(line.text))}
		}
		if i, ok := f.last[name]; ok {
			f.warn("%s, line %d: overriding earlier entry: %s=%s", path, line.first, name, f.Settings[i].Value)
		}
		f.last[name] = len(f.Settings)
		f.Settings = append(f.Settings, Setting{name, value, line.first})
	}
	return f, nil
}

func (f *MainFile) warn(format string, args ...any) {
	f.Warnings = append(f.Warnings, fmt.Sprintf(format, args...))
}

// Get returns the setting of name that counts, unexpanded.
func (f *MainFile) Get(name string) (Setting, bool) {
	if i, ok := f.last[name]; ok {
		return f.Settings[i], true
	}
	return Setting{}, false
}

// Effective returns the settings that count, one per name, in file order.
func (f *MainFile) Effective() []Setting {
	out := make([]Setting, 0, len(f.last))
	for i, s := range f.Settings {
		if f.last[s.Name] == i {
			out = append(out, s)
		}
	}
	return out
}

// SplitNameValue splits `name = value`. A name has no white space in it. Its
// errors are Postfix's: "missing '=' after attribute name" and "missing
// attribute name".
func SplitNameValue(text string) (name, value string, err error) {
	text = strings.TrimFunc(text, isSpaceRune)
	end := strings.IndexFunc(text, func(r rune) bool { return isSpaceRune(r) || r == '=' })
	if end < 0 {
		end = len(text)
	}
	name = text[:end]
	rest := strings.TrimLeftFunc(text[end:], isSpaceRune)
	switch {
	case name == "":
		return "", "", errNoName
	case !strings.HasPrefix(rest, "="):
		return "", "", errNoEquals
	}
	return name, strings.TrimLeftFunc(rest[1:], isSpaceRune), nil
}
