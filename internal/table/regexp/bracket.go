package regexp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

var classes = []string{"alpha", "digit", "alnum", "upper", "lower", "space", "blank", "punct", "print", "graph", "cntrl", "xdigit"}

// bracket translates a bracket expression; its '[' has been read. Inside, a
// backslash is an ordinary character.
func (t *translator) bracket() error {
	var b strings.Builder
	b.WriteByte('[')
	if t.pos < len(t.in) && t.in[t.pos] == '^' {
		t.pos++
		b.WriteByte('^')
		if t.multiline {
			b.WriteString(`\n`) // with REG_NEWLINE a negated list never matches it
		}
	}
	for first := true; ; first = false {
		if t.pos >= len(t.in) {
			return errors.New("Unmatched [, [^, [:, [., or [=")
		}
		if t.in[t.pos] == ']' && !first {
			t.pos++
			b.WriteByte(']')
			t.emit(b.String())
			return nil
		}
		if name, ok, err := t.named(':'); err != nil {
			return err
		} else if ok {
			if !slices.Contains(classes, name) {
				return errors.New("Invalid character class name")
			}
			if t.ignoreCase && (name == "upper" || name == "lower") {
				name = "alpha"
			}
			b.WriteString("[:" + name + ":]")
			continue
		}
		if err := t.span(&b); err != nil {
			return err
		}
	}
}

// span translates one element or a range of two.
func (t *translator) span(b *strings.Builder) error {
	low, err := t.element()
	if err != nil {
		return err
	}
	high := low
	if rest := t.in[t.pos:]; len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
		t.pos++
		if high, err = t.element(); err != nil {
			return err
		}
	}
	if high < low {
		return errors.New("Invalid range end")
	}
	// A range that crosses from ASCII to high bytes skips the runes between.
	if low < 0x80 && high >= 0x80 {
		fmt.Fprintf(b, `\x{%x}-\x{7f}\x{%x}-\x{%x}`, low, runeOf(0x80), runeOf(high))
		return nil
	}
	fmt.Fprintf(b, `\x{%x}-\x{%x}`, runeOf(low), runeOf(high))
	return nil
}

// element reads one character, [.x.] or [=x=].
func (t *translator) element() (byte, error) {
	for _, mark := range []byte{'.', '='} {
		name, ok, err := t.named(mark)
		switch {
		case err != nil:
			return 0, err
		case ok && len(name) != 1:
			return 0, errors.New("Invalid collation character")
		case ok:
			return name[0], nil
		}
	}
	if t.pos >= len(t.in) {
		return 0, errors.New("Unmatched [, [^, [:, [., or [=")
	}
	t.pos++
	return t.in[t.pos-1], nil
}

// named reads [:name:], [.name.] or [=name=].
func (t *translator) named(mark byte) (name string, ok bool, err error) {
	open, end := "["+string(mark), string(mark)+"]"
	rest, found := strings.CutPrefix(t.in[t.pos:], open)
	if !found {
		return "", false, nil
	}
	name, _, found = strings.Cut(rest, end)
	if !found {
		return "", false, errors.New("Unmatched [, [^, [:, [., or [=")
	}
	t.pos += len(open) + len(name) + len(end)
	return name, true, nil
}
