package config

import "strings"

// The layout of folded output, that of postconf -f.
const (
	foldWidth  = 80
	foldIndent = "    "
)

// columnStart is where the columns of a master.cf row begin in output.
var columnStart = [...]int{0, 11, 17, 25, 33, 41, 49, 57}

// FormatSetting writes `label = value` as postconf shows it, without line
// end: white space in the value becomes single spaces. fold breaks long lines.
func FormatSetting(label, value string, fold bool) string {
	text := label + " ="
	return appendWords(text, len(text), fields(value), fold)
}

// FormatValue writes a value alone, as postconf -h shows it.
func FormatValue(value string, fold bool) string {
	words := fields(value)
	if len(words) == 0 {
		return ""
	}
	return appendWords(words[0], len(words[0]), words[1:], fold)
}

// appendWords adds words to text whose last line has width bytes.
func appendWords(text string, width int, words []string, fold bool) string {
	var b strings.Builder
	b.WriteString(text)
	for _, w := range words {
		if fold && width+1+len(w) > foldWidth && w[0] != '#' {
			b.WriteString("\n" + foldIndent + w)
			width = len(foldIndent) + len(w)
			continue
		}
		b.WriteString(" " + w)
		width += 1 + len(w)
	}
	return b.String()
}

// FormatService writes a row of master.cf as postconf -M shows it, without
// line end. fold puts each -o on a line of its own and breaks long lines.
func FormatService(s Service, fold bool) string {
	var b strings.Builder
	for i, column := range append(s.Fields.Columns[:], s.Fields.Command[0]) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		for b.Len() < columnStart[i] {
			b.WriteByte(' ')
		}
		b.WriteString(column)
	}
	return formatArgs(b.String(), s, fold)
}

// FormatCommand writes the command and its arguments after label, as
// postconf -F shows them.
func FormatCommand(label string, s Service, fold bool) string {
	return formatArgs(label+s.Fields.Command[0], s, fold)
}

func formatArgs(text string, s Service, fold bool) string {
	if !fold {
		return strings.Join(append([]string{text}, s.Fields.Command[1:]...), " ")
	}
	width, fresh := len(text), false
	for i := 1; i < len(s.Fields.Command); i++ {
		word := s.Fields.Command[i]
		override := word == "-o" && i < s.options
		if override {
			i++
			word += " " + s.Fields.Command[i]
		}
		// A '#' at the start of a line would make it a comment.
		if (override || fresh || width+1+len(word) > foldWidth) && word[0] != '#' {
			text += "\n" + foldIndent + word
			width = len(foldIndent) + len(word)
		} else {
			text += " " + word
			width += 1 + len(word)
		}
		fresh = override
	}
	return text
}
