package regexp

import (
	"fmt"
	"strconv"
	"strings"
)

// template is a result with references to groups: $1, ${1}, $(1); $$ is '$'.
type template struct {
	text  string // the whole result, when it has no references
	refs  bool
	parts []part
}

// part is literal text followed by a group; group 0: none, the end.
type part struct {
	text  string
	group int
}

// parseTemplate also returns the highest group that is used.
func parseTemplate(text string) (t template, highest int, err error) {
	var literal strings.Builder
	for text != "" {
		before, after, ok := strings.Cut(text, "$")
		literal.WriteString(before)
		if !ok {
			break
		}
		if rest, ok := strings.CutPrefix(after, "$"); ok {
			literal.WriteByte('$')
			text = rest
			continue
		}
		name, rest, err := cutName(after)
		if err != nil {
			return t, 0, err
		}
		n, err := strconv.ParseUint(name, 10, 15)
		if err != nil {
			return t, 0, fmt.Errorf("non-numeric replacement index \"%s\"", name)
		}
		if n == 0 {
			return t, 0, fmt.Errorf("out of range replacement index \"%s\"", name)
		}
		highest = max(highest, int(n))
		t.refs = true
		t.parts = append(t.parts, part{literal.String(), int(n)})
		literal.Reset()
		text = rest
	}
	t.text = literal.String()
	t.parts = append(t.parts, part{t.text, 0})
	return t, highest, nil
}

// cutName reads the name after a '$'. As in main.cf it goes as far as letters,
// digits and underscores do.
func cutName(text string) (name, rest string, err error) {
	if text != "" && (text[0] == '{' || text[0] == '(') {
		end := "}"
		if text[0] == '(' {
			end = ")"
		}
		name, rest, ok := strings.Cut(text[1:], end)
		if !ok {
			return "", "", fmt.Errorf("truncated macro reference: \"$%s\"", text)
		}
		return name, rest, nil
	}
	end := 0
	for end < len(text) && (isAlnum(text[end]) || text[end] == '_') {
		end++
	}
	if end == 0 {
		return "", "", fmt.Errorf("empty macro name: \"$%s\"", text)
	}
	return text[:end], text[end:], nil
}

// expand fills in the groups; one that took no part in the match is empty.
func (t *template) expand(subject string, groups []int) string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.group == 0 {
			continue
		}
		if from, to := groups[2*p.group], groups[2*p.group+1]; from >= 0 {
			b.WriteString(narrow(subject[from:to]))
		}
	}
	return b.String()
}
