package config

import (
	"errors"
	"fmt"
	"strings"
)

// splitArgs splits a row at white space. A word that begins with '{' reaches
// to its closing brace and stays one word, braces included.
func splitArgs(text string) ([]string, error) {
	var out []string
	for text = trimLeft(text); text != ""; text = trimLeft(text) {
		// `-o{ name = value }` is `-o` and a group, as Postfix reads it.
		if strings.HasPrefix(text, "-o{") {
			out, text = append(out, "-o"), text[2:]
		}
		if text[0] == '{' {
			end := closingBrace(text)
			if end < 0 {
				return nil, fmt.Errorf("missing '}' in \"%s\"", excerpt(text))
			}
			if rest := text[end+1:]; rest != "" && !isSpace(rest[0]) {
				return nil, fmt.Errorf("syntax error after '}' in \"%s\"", excerpt(text))
			}
			out, text = append(out, text[:end+1]), text[end+1:]
			continue
		}
		end := strings.IndexFunc(text, isSpaceRune)
		if end < 0 {
			end = len(text)
		}
		out, text = append(out, text[:end]), text[end:]
	}
	return out, nil
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
	if s.Command == "" || strings.HasPrefix(s.Command, "-") {
		return fmt.Errorf("invalid command field \"%s\"", excerpt(words[0]))
	}
	s.Fields.Command = []string{s.Command}
	words = words[1:]
	for len(words) > 0 {
		word := words[0]
		switch {
		case word == "-o":
			if len(words) < 2 {
				return errors.New("missing name=value after -o")
			}
			words = words[1:]
			if err := s.override(ungroup(words[0])); err != nil {
				return err
			}
		case strings.HasPrefix(word, "-o"):
			if err := s.override(word[2:]); err != nil {
				return err
			}
		case len(word) > 1 && word[0] == '-' && strings.Trim(word[1:], "vD") == "":
			s.Verbose += strings.Count(word, "v")
			s.Debug = s.Debug || strings.Contains(word, "D")
			s.Fields.Command = append(s.Fields.Command, word)
		default:
			s.arguments(words)
			return nil
		}
		words = words[1:]
	}
	s.options = len(s.Fields.Command)
	return nil
}

// arguments takes the words after the options.
func (s *Service) arguments(words []string) {
	s.options = len(s.Fields.Command)
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
	s.Overrides = append(s.Overrides, Override{name, value})
	s.Fields.Command = append(s.Fields.Command, "-o", formatOverride(name, value))
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
