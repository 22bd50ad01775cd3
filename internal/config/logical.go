package config

import (
	"bytes"
	"strings"
)

// logicalLine is a line of main.cf or master.cf with its continuations joined.
type logicalLine struct {
	text  string
	first int // number of the physical line it starts on
}

// splitLines cuts data into physical lines, each with its line end, if any.
func splitLines(data []byte) [][]byte {
	if len(data) == 0 {
		return nil
	}
	lines := bytes.SplitAfter(data, []byte{'\n'})
	if len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// lineKind is what one physical line means to the parser.
type lineKind uint8

const (
	ignoredLine  lineKind = iota // empty, white space only, or first text is '#'
	startLine                    // text in the first column
	continueLine                 // white space, then text
)

// kindOf classifies a physical line. A comment or an empty line does not end
// a logical line: one may stand between a line and its continuation.
func kindOf(line []byte) lineKind {
	text := bytes.TrimLeft(line, " \t\r\n\v\f")
	switch {
	case len(text) == 0 || text[0] == '#':
		return ignoredLine
	case len(text) < len(line):
		return continueLine
	}
	return startLine
}

// logicalLines joins continuation lines. A continuation before any other line
// starts a logical line of its own, which keeps its leading white space.
func logicalLines(data []byte) []logicalLine {
	var (
		out   []logicalLine
		text  strings.Builder
		first int
	)
	flush := func() {
		if first > 0 {
			out = append(out, logicalLine{text.String(), first})
		}
		text.Reset()
	}
	for i, line := range splitLines(data) {
		kind := kindOf(line)
		if kind == ignoredLine {
			continue
		}
		if kind == startLine || first == 0 {
			flush()
			first = i + 1
		}
		text.Write(bytes.TrimRight(line, "\r\n"))
	}
	flush()
	return out
}
