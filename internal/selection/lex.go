package selection

import (
	"fmt"
	"strings"
)

const blanks = " \t\r\n"

// space goes over blanks.
func (p *parser) space() {
	p.at = len(p.text) - len(strings.TrimLeft(p.text[p.at:], blanks))
}

// letters reads a run of letters.
func (p *parser) letters() string {
	begin := p.at
	for p.at < len(p.text) && (p.text[p.at]|0x20 >= 'a' && p.text[p.at]|0x20 <= 'z') {
		p.at++
	}
	return p.text[begin:p.at]
}

// keyword reads a certain word, or nothing.
func (p *parser) keyword(word string) bool {
	p.space()
	begin := p.at
	if strings.EqualFold(p.letters(), word) {
		return true
	}
	p.at = begin
	return false
}

// value reads what stands behind an operator.
func (p *parser) value() (string, error) {
	begin := p.at
	if p.at < len(p.text) && (p.text[p.at] == '"' || p.text[p.at] == '\'') {
		return p.quoted()
	}
	end := strings.IndexAny(p.text[begin:], blanks+`()"'`)
	if end < 0 {
		end = len(p.text) - begin
	}
	p.at += end
	if end == 0 {
		return "", p.fail(begin, "expected a value, not %s", p.next())
	}
	if p.at < len(p.text) && strings.IndexByte(`("'`, p.text[p.at]) >= 0 {
		return "", p.fail(p.at, "%s in a value needs quotes around the value", p.next())
	}
	return p.text[begin:p.at], nil
}

// quoted reads a value in quotes.
func (p *parser) quoted() (string, error) {
	begin, quote := p.at, p.text[p.at]
	var b strings.Builder
	for i := p.at + 1; i < len(p.text); i++ {
		c := p.text[i]
		switch {
		case c == quote:
			p.at = i + 1
			return b.String(), nil
		case c == '\\' && i+1 < len(p.text) && (p.text[i+1] == quote || p.text[i+1] == '\\'):
			i++
			b.WriteByte(p.text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", p.fail(begin, "there is no end of this quote")
}

// shown is a word for an error, or what stands in its place.
func (p *parser) shown(word string) string {
	if word == "" {
		return p.next()
	}
	return fmt.Sprintf("%q", word)
}

// next shows what comes next.
func (p *parser) next() string {
	if p.at == len(p.text) {
		return "the end"
	}
	for i := range p.text[p.at:] { // one character
		if i > 0 {
			return fmt.Sprintf("%q", p.text[p.at:p.at+i])
		}
	}
	return fmt.Sprintf("%q", p.text[p.at:])
}
