package config

import (
	"errors"
	"fmt"
	"strings"
)

// splitArgs splits a row at white space outside braces. A word that begins
// with '{' must end with the brace that closes it; it keeps its braces.
func splitArgs(text string) ([]string, error) {
	var out []string
	for text = trimLeft(text); text != ""; text = trimLeft(text) {
		end, depth := 0, 0
		for ; end < len(text) && (depth > 0 || !isSpace(text[end])); end++ {
			switch {
			case text[end] == '{':
				depth++
			case text[end] == '}' && depth > 0:
				depth--
			}
		}
		word := text[:end]
		if err := checkGroup(word); err != nil {
			return nil, err
		}
		out, text = append(out, word), text[end:]
	}
	return out, nil
}

// checkGroup wants a word that begins with a brace to end with its partner.
func checkGroup(word string) error {
	if word[0] != '{' {
		return nil
	}
	switch closingBrace(word) {
	case len(word) - 1:
		return nil
	case -1:
		return fmt.Errorf("missing '}' in \"%s\"", excerpt(word))
	}
	return fmt.Errorf("syntax error after '}' in \"%s\"", excerpt(word))
}

// ungroup removes the braces of a group and the white space inside them.
func ungroup(word string) string {
	if strings.HasPrefix(word, "{") && strings.HasSuffix(word, "}") && len(word) > 1 {
		return strings.TrimFunc(word[1:len(word)-1], isSpaceRune)
	}
	return word
}

// parseCommand reads the command and its arguments. Options that every daemon
// has (-o, -v, -D) are read up to the first argument that is not one, or `--`;
// what follows belongs to the command. The words are brought into one form on
// the way: `-o` and its setting apart, white space inside braces trimmed.
func (s *Service) parseCommand(words []string) error {
	s.Command = ungroup(words[0])
	if s.Command == "" || s.Command[0] == '-' || strings.ContainsFunc(s.Command, isSpaceRune) {
		return fmt.Errorf("invalid command field \"%s\"", excerpt(words[0]))
	}
	s.Fields.Command = []string{s.Command}
	for words = words[1:]; len(words) > 0; words = words[1:] {
		word := words[0]
		flags := len(word) - len(strings.TrimLeft(word[1:], "vD")) // '-' and leading flags
		if word[0] != '-' || len(word) == 1 || flags < len(word) && word[flags] != 'o' {
			break
		}
		s.Verbose += strings.Count(word[:flags], "v")
		s.Debug = s.Debug || strings.Contains(word[:flags], "D")
		if flags > 1 {
			s.Fields.Command = append(s.Fields.Command, word[:flags])
		}
		if flags == len(word) {
			continue
		}
		setting := word[flags+1:] // what follows the 'o', or the next word
		if setting == "" {
			if words = words[1:]; len(words) == 0 {
				return errors.New("missing name=value after -o")
			}
			setting = words[0]
		}
		if err := checkGroup(setting); err != nil { // as in -o{…
			return err
		}
		if err := s.override(ungroup(setting)); err != nil {
			return err
		}
	}
	s.options = len(s.Fields.Command)
	s.arguments(words)
	return nil
}

// arguments takes the words after the options.
func (s *Service) arguments(words []string) {
	for i, word := range words {
		text := ungroup(word)
		if i > 0 || word != "--" {
			s.Args = append(s.Args, text)
		}
		if text != word {
			word = "{" + text + "}"
		}
		s.Fields.Command = append(s.Fields.Command, word)
	}
}

func (s *Service) override(text string) error {
	name, value, err := SplitNameValue(text)
	if err != nil {
		return fmt.Errorf("%w: \"%s\"", err, excerpt(text))
	}
	if strings.ContainsAny(name, "{}#") {
		return fmt.Errorf("invalid parameter name: \"%s\"", excerpt(name))
	}
	word := formatOverride(name, value)
	if err := checkGroup(word); err != nil { // white space behind a brace that nothing closes
		return err
	}
	s.Overrides = append(s.Overrides, Override{name, value})
	s.Fields.Command = append(s.Fields.Command, "-o", word)
	return nil
}

// formatOverride writes a setting as the word after -o.
func formatOverride(name, value string) string {
	if strings.ContainsFunc(value, isSpaceRune) {
		return "{" + name + "=" + value + "}"
	}
	return name + "=" + value
}

// SetOverride changes the -o setting of name, or adds it after the others.
func (s *Service) SetOverride(name, value string) error {
	found := false
	s.eachOverride(func(words []string, n string) []string {
		if n == name {
			found = true
			words[1] = formatOverride(name, value)
		}
		return words
	})
	if !found {
		words := append([]string{}, s.Fields.Command[:s.options]...)
		words = append(words, "-o", formatOverride(name, value))
		s.Fields.Command = append(words, s.Fields.Command[s.options:]...)
	}
	return s.reparse()
}

// RemoveOverride removes the -o settings of name.
func (s *Service) RemoveOverride(name string) error {
	s.eachOverride(func(words []string, n string) []string {
		if n == name {
			return nil
		}
		return words
	})
	return s.reparse()
}

// eachOverride calls edit with the two words of each -o setting; what edit
// returns takes their place.
func (s *Service) eachOverride(edit func(words []string, name string) []string) {
	var out []string
	next := 0
	for i := 0; i < s.options; i++ {
		word := s.Fields.Command[i]
		if i == 0 || word != "-o" {
			out = append(out, word)
			continue
		}
		out = append(out, edit([]string{"-o", s.Fields.Command[i+1]}, s.Overrides[next].Name)...)
		next++
		i++
	}
	n := len(out)
	s.Fields.Command = append(out, s.Fields.Command[s.options:]...)
	s.options = n
}

// SetField changes one column, or with index len(Fields.Columns) the command
// and its arguments.
func (s *Service) SetField(index int, value string) error {
	if index < len(s.Fields.Columns) {
		if len(fields(value)) != 1 {
			return badColumn(index, value)
		}
		s.Fields.Columns[index] = value
	} else {
		words, err := splitArgs(value)
		if err != nil {
			return err
		}
		if len(words) == 0 {
			return errors.New("invalid command field \"\"")
		}
		s.Fields.Command = words
	}
	return s.reparse()
}

// reparse reads the changed fields again, so that the row and its meaning agree.
func (s *Service) reparse() error {
	t, err := ParseService(FormatService(*s, false))
	if err != nil {
		return err
	}
	t.File, t.Line = s.File, s.Line
	*s = t
	return nil
}
