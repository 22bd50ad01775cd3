package regexp

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// flags of a pattern, as regexp_table(5) names them.
type flags struct{ ignoreCase, multiline, extended bool }

// highRunes is where bytes above 127 go: POSIX tables compare bytes, Go
// compares characters. Runes of the private use area have no case and belong
// to no class, as such bytes in the C locale.
const highRunes = 0xE000

// compile turns a POSIX pattern into one of the standard library, with the
// leftmost-longest match that POSIX asks for.
func compile(pattern string, f flags) (*regexp.Regexp, error) {
	t := translator{in: pattern, flags: f}
	if err := t.translate(); err != nil {
		return nil, err
	}
	mode := "(?s"
	if f.multiline {
		mode = "(?m"
	}
	if f.ignoreCase {
		mode += "i"
	}
	re, err := regexp.Compile(mode + ")" + t.out.String())
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	re.Longest()
	return re, nil
}

// widen maps a subject or pattern to runes, one per byte.
func widen(s string) string {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		b.WriteRune(runeOf(s[i]))
	}
	return b.String()
}

// narrow is the reverse of widen, for parts of a subject.
func narrow(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r)) // highRunes ends in a zero byte
	}
	return string(b)
}

func runeOf(c byte) rune {
	if c < utf8.RuneSelf {
		return rune(c)
	}
	return highRunes + rune(c)
}

// translator writes the Go form of a POSIX pattern (POSIX.2 section 2.8, with
// the extensions of the GNU library: \w \W \s \S \b \B \< \> \` \').
type translator struct {
	in  string
	pos int
	flags
	out   strings.Builder
	atom  int   // where the last repeatable item begins in out, or -1
	stack []int // where the open groups begin in out
}

func (t *translator) translate() error {
	t.atom = -1
	for t.pos < len(t.in) {
		if err := t.next(); err != nil {
			return err
		}
	}
	if len(t.stack) > 0 {
		return errors.New(`Unmatched ( or \(`)
	}
	return nil
}

func (t *translator) next() error {
	c := t.in[t.pos]
	t.pos++
	switch c {
	case '[':
		return t.bracket()
	case '\\':
		return t.escape()
	case '.':
		t.emit(".")
	case '*':
		return t.star()
	case '^':
		t.anchor(t.extended || t.atStart(), "^")
	case '$':
		t.anchor(t.extended || t.atEnd(), "$")
	case '(', ')', '|', '+', '?', '{':
		if t.extended {
			return t.special(c)
		}
		t.literal(c)
	default:
		t.literal(c)
	}
	return nil
}

// special handles the operators that need no backslash in an extended pattern
// and need one in a basic pattern.
func (t *translator) special(c byte) error {
	switch c {
	case '(':
		t.stack = append(t.stack, t.out.Len())
		t.out.WriteByte('(')
		t.atom = -1
	case ')':
		if len(t.stack) == 0 {
			if !t.extended {
				return errors.New(`Unmatched ) or \)`)
			}
			t.literal(c) // ordinary, says POSIX
			return nil
		}
		t.out.WriteByte(')')
		t.atom = t.stack[len(t.stack)-1]
		t.stack = t.stack[:len(t.stack)-1]
	case '|':
		t.out.WriteByte('|')
		t.atom = -1
	case '{':
		return t.interval()
	default:
		return t.repeat(string(c))
	}
	return nil
}

func (t *translator) star() error {
	if t.atom < 0 && !t.extended { // at the start of a basic pattern
		t.literal('*')
		return nil
	}
	return t.repeat("*")
}

// repeat applies an operator to the last item. Items are put in a group when
// they were repeated before: Go reads a second operator as something else.
func (t *translator) repeat(op string) error {
	if t.atom < 0 {
		return errors.New("Invalid preceding regular expression")
	}
	text := t.out.String()
	head, item := text[:t.atom], text[t.atom:]
	t.out.Reset()
	t.out.WriteString(head)
	t.out.WriteString("(?:" + item + ")" + op)
	return nil
}

// interval reads {n}, {n,}, {,m} or {n,m} up to its brace.
func (t *translator) interval() error {
	end := "}"
	if !t.extended {
		end = `\}`
	}
	text, _, ok := strings.Cut(t.in[t.pos:], end)
	if !ok {
		return errors.New(`Unmatched \{`)
	}
	low, high, ranged := strings.Cut(text, ",")
	if low == "" && ranged {
		low = "0"
	}
	n, err := strconv.ParseUint(low, 10, 15)
	m := n
	if err == nil && high != "" {
		m, err = strconv.ParseUint(high, 10, 15)
	}
	switch {
	case err != nil || m < n:
		return errors.New(`Invalid content of \{\}`)
	case max(n, m) > 1000: // the limit of the standard library
		return errors.New("Regular expression too big")
	}
	t.pos += len(text) + len(end)
	op := "{" + strconv.FormatUint(n, 10)
	if ranged {
		op += ","
	}
	if high != "" {
		op += strconv.FormatUint(m, 10)
	}
	return t.repeat(op + "}")
}

func (t *translator) escape() error {
	if t.pos == len(t.in) {
		return errors.New("Trailing backslash")
	}
	c := t.in[t.pos]
	t.pos++
	switch c {
	case 'w', 'W':
		t.emit(`\` + string(c))
	case 's':
		t.emit(`[\t-\r ]`)
	case 'S':
		t.emit(`[^\t-\r ]`)
	case 'b', 'B':
		t.anchor(true, `\`+string(c))
	case '<', '>': // Go has no such assertion; a pattern has a word beside it
		t.anchor(true, `\b`)
	case '`':
		t.anchor(true, `\A`)
	case '\'':
		t.anchor(true, `\z`)
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return fmt.Errorf(`back-reference \%c is not supported`, c)
	case '(', ')', '|', '+', '?', '{':
		if !t.extended {
			if (c == '+' || c == '?') && t.atom < 0 {
				t.literal(c)
				return nil
			}
			return t.special(c)
		}
		t.literal(c)
	default:
		t.literal(c)
	}
	return nil
}

// emit writes an item that may be repeated.
func (t *translator) emit(text string) {
	t.atom = t.out.Len()
	t.out.WriteString(text)
}

func (t *translator) literal(c byte) {
	t.emit(regexp.QuoteMeta(string(runeOf(c))))
}

// anchor writes an assertion, or the character itself where a basic pattern
// has it in the middle.
func (t *translator) anchor(special bool, text string) {
	if !special {
		t.literal(text[0])
		return
	}
	t.out.WriteString(text)
	t.atom = -1
	if t.extended {
		t.atom = t.out.Len() - len(text) // `^*` is accepted
	}
}

// atStart tells whether a basic pattern, or a part of it, begins here.
func (t *translator) atStart() bool {
	before := t.in[:t.pos-1]
	return before == "" || strings.HasSuffix(before, `\(`) || strings.HasSuffix(before, `\|`)
}

func (t *translator) atEnd() bool {
	after := t.in[t.pos:]
	return after == "" || strings.HasPrefix(after, `\)`) || strings.HasPrefix(after, `\|`)
}
