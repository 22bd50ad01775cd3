package report

import (
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"short", "short"},
		{strings.Repeat("x", 79), strings.Repeat("x", 79)},
		{strings.Repeat("x", 100), strings.Repeat("x", 100)},
		{strings.Repeat("x", 100) + " y", strings.Repeat("x", 100) + "\n    y"},
		{"a " + strings.Repeat("x", 100) + " y", "a\n    " + strings.Repeat("x", 100) + "\n    y"},
		{strings.Repeat("a", 77) + " b", strings.Repeat("a", 77) + " b"},
		{strings.Repeat("a", 78) + " b", strings.Repeat("a", 78) + "\n    b"},
		{strings.Repeat("a", 78) + " " + strings.Repeat("b", 75), strings.Repeat("a", 78) + "\n    " + strings.Repeat("b", 75)},
		{strings.Repeat("a", 78) + " " + strings.Repeat("b", 74) + " c", strings.Repeat("a", 78) + "\n    " + strings.Repeat("b", 74) + "\n    c"},
		{strings.Repeat("a", 78) + "   b", strings.Repeat("a", 78) + "\n    b"},
		{strings.Repeat(" ", 90), strings.Repeat(" ", 90)},
	} {
		if got := wrap(c.text, noticeWidth); got != c.want {
			t.Errorf("wrap(%q) = %q, want %q", c.text, got, c.want)
		}
	}
}
