package regexp

import (
	"fmt"
	"strings"

	"posthaste/internal/table"
	"posthaste/internal/table/source"
)

const space = " \t\r\n\v\f"

type parser struct {
	name   string
	line   int
	opts   table.Options
	table  *Table
	blocks source.Conditions
}

func (p *parser) warn(format string, args ...any) {
	p.opts.Warnf("regexp map %s, line %d: %s", p.name, p.line, fmt.Sprintf(format, args...))
}

func (p *parser) skip(format string, args ...any) {
	p.warn(format+": skipping this rule", args...)
}

func (p *parser) endIf() bool {
	i, ok := p.blocks.EndIf()
	if ok {
		p.table.rules[i].block = len(p.table.rules)
	}
	return ok
}

// add reads one logical line.
func (p *parser) add(text string) {
	if c := text[0]; !isAlnum(c) {
		p.rule(text)
		return
	}
	end := 0
	for end < len(text) && isAlnum(text[end]) {
		end++
	}
	word, rest := strings.ToLower(text[:end]), strings.TrimLeft(text[end:], space)
	switch word {
	case "if":
		p.condition(rest)
	case "endif":
		if rest != "" {
			p.warn("ignoring extra text after ENDIF")
		}
		if !p.endIf() {
			p.warn("ignoring ENDIF without matching IF")
		}
	default:
		p.warn("ignoring unrecognized request")
	}
}

func (p *parser) condition(text string) {
	r, rest, ok := p.pattern(text)
	if !ok {
		return
	}
	if rest != "" {
		p.warn("ignoring extra text after IF statement: \"%s\"", rest)
		p.warn("do not prepend whitespace to statements between IF and ENDIF")
	}
	p.blocks.If(len(p.table.rules), p.line)
	p.table.rules = append(p.table.rules, r)
}

func (p *parser) rule(text string) {
	r, rest, ok := p.pattern(text)
	if !ok {
		return
	}
	if rest == "" {
		p.warn("no replacement text: using empty string")
	}
	result, highest, err := parseTemplate(rest)
	switch {
	case err != nil:
		p.warn("%s", err)
		p.skip("bad replacement syntax")
	case result.refs && r.negate:
		p.skip("$number found in negative match replacement text")
	case result.refs && p.opts.NoRegSub:
		p.skip("regular expression substitution is not allowed")
	case highest > r.pattern.NumSubexp():
		p.skip("out of range replacement index \"%d\"", highest)
	default:
		r.result = result
		p.table.rules = append(p.table.rules, r)
	}
}

// pattern reads `!/pattern/flags` and returns what follows.
func (p *parser) pattern(text string) (r rule, rest string, ok bool) {
	for strings.HasPrefix(text, "!") {
		r.negate = !r.negate
		text = strings.TrimLeft(text[1:], space)
	}
	if text == "" {
		p.skip("no regexp")
		return r, "", false
	}
	delimiter := text[0]
	end := 1
	for end < len(text) && text[end] != delimiter {
		if text[end] == '\\' && end+1 < len(text) {
			end++
		}
		end++
	}
	if end >= len(text) {
		p.skip("no closing regexp delimiter \"%c\"", delimiter)
		return r, "", false
	}
	expr, rest := text[1:end], text[end+1:]
	f := flags{ignoreCase: true, extended: true}
	for rest != "" && strings.IndexByte(space, rest[0]) < 0 {
		switch rest[0] {
		case 'i':
			f.ignoreCase = !f.ignoreCase
		case 'm':
			f.multiline = !f.multiline
		case 'x':
			f.extended = !f.extended
		default:
			p.skip("unknown regexp option \"%c\"", rest[0])
			return r, "", false
		}
		rest = rest[1:]
	}
	var err error
	if r.pattern, err = compile(expr, f); err != nil {
		p.warn("%s", err) // the rule is skipped; Postfix says no more either
		return r, "", false
	}
	return r, strings.TrimLeft(rest, space), true
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
