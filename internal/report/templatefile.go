package report

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"posthaste/internal/mail"
)

// ReadFile is Read from a file.
func (t Templates) ReadFile(file string, warn func(format string, args ...any)) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("bounce_template_file: %w", err)
	}
	return t.Read(file, string(text), warn)
}

// Read puts the templates of a template file (bounce(5)) in place of those in
// t. A template with a mistake is left out, with a warning. The error tells
// that the file as a whole makes no sense.
func (t Templates) Read(file, text string, warn func(format string, args ...any)) error {
	base := maps.Clone(t) // a later template of the same name begins anew
	lines := strings.Split(text, "\n")
	if n := len(lines) - 1; lines[n] == "" {
		lines = lines[:n]
	}
	for at := 0; at < len(lines); at++ {
		line := strings.TrimSpace(lines[at])
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return fmt.Errorf("%s, line %d: missing '=' after attribute name: %q", file, at+1, line)
		}
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		body := []string{value}
		if end, ok := strings.CutPrefix(value, "<<"); ok {
			end = strings.TrimSpace(end)
			start := at + 1
			for at = start; at < len(lines) && lines[at] != end; at++ {
			}
			if at == len(lines) {
				warn("%s, line %d: missing %q end marker", file, at, end)
			}
			body = lines[start:at]
		}
		i := slices.IndexFunc(templateNames, func(n struct {
			name string
			kind Kind
		}) bool {
			return n.name+"_template" == name
		})
		if i < 0 {
			warn("%s, line %d: unknown template name: %s -- ignoring this template", file, at+1, name)
			continue
		}
		n := templateNames[i]
		x, why := base[n.kind].parse(body)
		if why != "" {
			warn("%s: %s in %s template -- ignoring this template", file, why, n.name)
			continue
		}
		t[n.kind] = x
	}
	return nil
}

// parse reads headers and text over those of t; why tells what is wrong.
func (t Template) parse(lines []string) (_ Template, why string) {
	fields := map[string]*string{"charset": &t.Charset, "from": &t.From, "subject": &t.Subject}
	if t.PostmasterSubject != "" {
		fields["postmaster-subject"] = &t.PostmasterSubject
	}
	for len(lines) > 0 {
		label, value, ok := cutHeader(lines[0])
		if !ok {
			break
		}
		lines = lines[1:]
		field := fields[strings.ToLower(label)]
		switch {
		case value == "":
			return t, fmt.Sprintf("empty %q header value", label)
		case !mail.IsASCII(value) || strings.ContainsRune(value, 0):
			return t, fmt.Sprintf("non-ASCII %q header value", label)
		case field == nil:
			return t, fmt.Sprintf("unknown %q header label", label)
		}
		*field = value
	}
	if len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	if len(lines) == 0 {
		return t, "missing message text"
	}
	t.Text = strings.Join(lines, "\n") + "\n"
	if t.is8Bit() && strings.EqualFold(t.Charset, usASCII) {
		return t, "8-bit message text without a charset value other than us-ascii"
	}
	return t, ""
}

// cutHeader takes a header line apart.
func cutHeader(line string) (label, value string, ok bool) {
	label, value, ok = strings.Cut(line, ":")
	label = strings.TrimRight(label, " \t")
	if !ok || label == "" || strings.ContainsFunc(label, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", "", false
	}
	return label, strings.TrimSpace(value), true
}
