package config

import (
	"bytes"
	"slices"
)

// EditMode says what an edit does to the settings or rows it names.
type EditMode uint8

// The modes of postconf -e, -# and -X.
const (
	Replace    EditMode = iota // give a new value; add what is not there
	CommentOut                 // put '#' before each line
	Exclude                    // remove the lines
)

// EditMain changes the text of a main.cf. Settings hold the names, and for
// Replace the new values; Line is not used. Comments and all other settings
// stay as they are; a name that is set more than once is changed at each
// place, and repeated lists it. New settings are added at the end, in the order given.
func EditMain(text []byte, mode EditMode, settings []Setting) (out []byte, repeated []string) {
	want := make(map[string]string)
	seen := make(map[string]int)
	for _, s := range settings {
		want[s.Name] = s.Value
	}
	act := func(first []byte) ([]byte, bool) {
		name := nameOf(first)
		value, ok := want[name]
		if !ok {
			return nil, false
		}
		if seen[name]++; seen[name] == 2 {
			repeated = append(repeated, name)
		}
		return []byte(name + " = " + value + "\n"), true
	}
	out = editLines(text, mode, act)
	if mode != Replace {
		return out, repeated
	}
	for i, s := range settings {
		again := slices.ContainsFunc(settings[i+1:], func(t Setting) bool { return t.Name == s.Name })
		if seen[s.Name] == 0 && !again {
			out = append(endLine(out), s.Name+" = "+s.Value+"\n"...)
		}
	}
	return out, repeated
}

// RowEdit is a change of one row of master.cf.
type RowEdit struct {
	Name, Type string // the row; it may be replaced by one with another name
	Text       string // for Replace: the new row, with its line end
}

// EditMaster changes the text of a master.cf, as EditMain does. A row that
// Replace does not find is added at the end. Rows are matched exactly;
// patterns are the caller's business. Comments inside a replaced row stay,
// behind the new one.
func EditMaster(text []byte, mode EditMode, edits []RowEdit) []byte {
	seen := make([]bool, len(edits))
	// The last of several edits of a row counts.
	find := func(name, typ string) int {
		for i, e := range slices.Backward(edits) {
			if e.Name == name && e.Type == typ {
				return i
			}
		}
		return -1
	}
	act := func(first []byte) ([]byte, bool) {
		words := fields(string(first))
		if len(words) < 2 {
			return nil, false
		}
		i := find(words[0], words[1])
		if i < 0 {
			return nil, false
		}
		seen[i] = true
		return []byte(edits[i].Text), true
	}
	out := editLines(text, mode, act)
	if mode != Replace {
		return out
	}
	for i, e := range edits {
		if !seen[i] && find(e.Name, e.Type) == i {
			out = append(endLine(out), e.Text...)
		}
	}
	return out
}

// editLines goes through the logical lines of a file. act gets the first
// physical line of each and says whether it is to change, and for Replace
// what it becomes.
func editLines(text []byte, mode EditMode, act func(first []byte) (replacement []byte, change bool)) []byte {
	out := make([]byte, 0, len(text)+256)
	changing := false
	for _, line := range splitLines(text) {
		kind := kindOf(line)
		if kind == ignoredLine {
			out = append(out, line...)
			continue
		}
		if kind == startLine {
			var replacement []byte
			if replacement, changing = act(line); changing && mode == Replace {
				out = append(endLine(out), replacement...)
			}
		}
		switch {
		case !changing:
			out = append(out, line...)
		case mode == CommentOut:
			out = append(append(endLine(out), '#'), line...)
		}
	}
	return out
}

// nameOf is the name that a line of main.cf sets.
func nameOf(line []byte) string {
	end := bytes.IndexFunc(line, func(r rune) bool { return isSpaceRune(r) || r == '=' })
	if end < 0 {
		end = len(line)
	}
	return string(line[:end])
}

// endLine adds the line end that the last line of a file may lack.
func endLine(text []byte) []byte {
	if len(text) > 0 && text[len(text)-1] != '\n' {
		return append(text, '\n')
	}
	return text
}
