package config

import (
	"fmt"
	"strings"
)

// A value is parsed into parts: literal text and macros. The grammar is that
// of postconf(5):
//
//	$$  $name  ${name}  $(name)
//	${name?text}  ${name:text}  ${name?{text}:{text}}
//	${{text} op {text} ? {text} : {text}}
type expression []part

// part is literal text, or a macro when macro is set.
type part struct {
	literal string
	macro   *macro
}

// macro is one ${…}. With op set it compares left and right; without, it
// stands for name. then and otherwise are nil when not given.
type macro struct {
	name            string
	op              string
	left, right     expression
	then, otherwise *expression
}

// maxBraces bounds how deep ${…} may be nested in a text.
const maxBraces = 100

// parseExpression parses a value. Errors are worded as Postfix's warnings.
func parseExpression(text string) (expression, error) { return parseParts(text, 0) }

func parseParts(text string, depth int) (expression, error) {
	if depth > maxBraces {
		return nil, fmt.Errorf("unreasonable macro call nesting: \"%s\"", excerpt(text))
	}
	var out expression
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			out = append(out, part{literal: literal.String()})
			literal.Reset()
		}
	}
	for rest := text; rest != ""; {
		dollar := strings.IndexByte(rest, '$')
		if dollar < 0 {
			literal.WriteString(rest)
			break
		}
		literal.WriteString(rest[:dollar])
		rest = rest[dollar+1:]
		if strings.HasPrefix(rest, "$") {
			literal.WriteByte('$')
			rest = rest[1:]
			continue
		}
		body, after, braced, err := cutReference(rest, text)
		if err != nil {
			return nil, err
		}
		m := &macro{name: body}
		if braced {
			if m, err = parseBody(body, text, depth); err != nil {
				return nil, err
			}
		}
		flush()
		out = append(out, part{macro: m})
		rest = after
	}
	flush()
	return out, nil
}

// cutReference takes what follows a '$': a bare name, or the inside of {…} or
// (…). whole is the complete value, for messages.
func cutReference(rest, whole string) (body, after string, braced bool, err error) {
	if rest != "" && (rest[0] == '{' || rest[0] == '(') {
		open, shut := rest[0], byte('}')
		if open == '(' {
			shut = ')'
		}
		depth := 0
		for i := 0; i < len(rest); i++ {
			switch rest[i] {
			case open:
				depth++
			case shut:
				depth--
			}
			if depth == 0 {
				return rest[1:i], rest[i+1:], true, nil
			}
		}
		return "", "", false, fmt.Errorf("truncated macro reference: \"%s\"", excerpt(whole))
	}
	n := 0
	for n < len(rest) && isNameByte(rest[n]) {
		n++
	}
	if n == 0 {
		return "", "", false, fmt.Errorf("empty macro name: \"%s\"", excerpt(whole))
	}
	return rest[:n], rest[n:], false, nil
}

// parseBody parses the inside of ${…}.
func parseBody(body, whole string, depth int) (*macro, error) {
	var (
		m    = &macro{}
		rest = trimLeft(body)
		err  error
	)
	if strings.HasPrefix(rest, "{") {
		rest, err = parseComparison(m, body, rest, depth)
		if err != nil {
			return nil, err
		}
	} else {
		n := 0
		for n < len(rest) && isNameByte(rest[n]) {
			n++
		}
		if n == 0 {
			return nil, fmt.Errorf("empty macro name: \"%s\"", excerpt(whole))
		}
		m.name, rest = rest[:n], trimLeft(rest[n:])
	}
	switch {
	case rest == "":
		return m, nil
	case rest[0] == '?':
		m.then, rest, err = parseBranch(body, rest[1:], depth)
		if err != nil || rest == "" {
			return m, err
		}
		if rest[0] != ':' {
			return nil, expected(`":"`, body, rest)
		}
		fallthrough
	case rest[0] == ':':
		m.otherwise, rest, err = parseBranch(body, rest[1:], depth)
		if err == nil && rest != "" {
			err = expected("end of macro", body, rest)
		}
		return m, err
	case m.name != "":
		return nil, fmt.Errorf("attribute name syntax error at: \"%s\"", pointer(body, rest))
	}
	return nil, expected(`"?" or ":"`, body, rest)
}

// parseBranch parses the text after '?' or ':'. With braces it ends at the
// closing one, and the remaining text is returned; without, it is all.
func parseBranch(body, rest string, depth int) (*expression, string, error) {
	text, after := rest, ""
	if inner := trimLeft(rest); strings.HasPrefix(inner, "{") {
		end := closingBrace(inner)
		if end < 0 {
			return nil, "", fmt.Errorf("unbalanced {} in: \"%s\"", pointer(body, inner))
		}
		text, after = inner[1:end], trimLeft(inner[end+1:])
	}
	e, err := parseParts(text, depth+1)
	return &e, after, err
}

// comparisons are the operators of ${{a} op {b} …}, longest first.
var comparisons = []string{"==", "!=", "<=", ">=", "<", ">"}

// parseComparison parses `{left} op {right}` and returns what follows.
func parseComparison(m *macro, body, rest string, depth int) (string, error) {
	var err error
	if m.left, rest, err = parseOperand(body, rest, depth); err != nil {
		return "", err
	}
	for _, op := range comparisons {
		if strings.HasPrefix(rest, op) {
			m.op = op
			break
		}
	}
	if m.op == "" {
		return "", expected(`"==" or "!=" or "<" or "<=" or ">=" or ">"`, body, rest)
	}
	rest = rest[len(m.op):]
	if after, ok := strings.CutPrefix(rest, "level"); ok {
		m.op, rest = m.op+"level", after
	}
	m.right, rest, err = parseOperand(body, trimLeft(rest), depth)
	return rest, err
}

func parseOperand(body, rest string, depth int) (expression, string, error) {
	if !strings.HasPrefix(rest, "{") {
		return nil, "", expected(`"{"`, body, rest)
	}
	end := closingBrace(rest)
	if end < 0 {
		return nil, "", fmt.Errorf("unbalanced {} in: \"%s\"", pointer(body, rest))
	}
	e, err := parseParts(rest[1:end], depth+1)
	return e, trimLeft(rest[end+1:]), err
}

func trimLeft(s string) string { return strings.TrimLeftFunc(s, isSpaceRune) }

func expected(what, body, rest string) error {
	return fmt.Errorf("%s expected at: \"%s\"", what, pointer(body, rest))
}

// pointer shows where in body the parser stands, as Postfix does:
// `...before>>>after`.
func pointer(body, rest string) string {
	const window = 20
	before := strings.TrimRightFunc(body[:len(body)-len(rest)], isSpaceRune)
	if len(before) > window {
		before = before[len(before)-window:]
	}
	if len(rest) > window {
		rest = rest[:window]
	}
	return "..." + before + ">>>" + rest
}

// references calls use for every name the expression mentions, in any branch.
func (e expression) references(use func(name string)) {
	for _, p := range e {
		if p.macro == nil {
			continue
		}
		if p.macro.name != "" {
			use(p.macro.name)
		}
		p.macro.left.references(use)
		p.macro.right.references(use)
		for _, branch := range []*expression{p.macro.then, p.macro.otherwise} {
			if branch != nil {
				branch.references(use)
			}
		}
	}
}
