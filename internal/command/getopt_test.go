package command

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		args, spec, want, rest string
	}{
		{"", "a", "", ""},
		{"-a -bc x", "abc", "a b c", "x"},
		{"-oValue -o Value -ao", "ao:", "o=Value o=Value a option requires an argument -- 'o'", ""},
		{"-ao x y", "ao:", "a o=x", "y"},
		{"-a -- -b", "ab", "a", "-b"},
		{"-a - -b", "ab", "a", "- -b"},
		{"x -a", "a", "", "x -a"},
		{"-az", "a", "a invalid option -- 'z'", ""},
		{"-:", "a:", "invalid option -- ':'", ""},
		{"-# x", "#", "#", "x"},
	} {
		opts := NewOptions(strings.Fields(test.args), test.spec)
		var got []string
		for {
			option, value, err := opts.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				got = append(got, err.Error())
				break
			}
			text := string(option)
			if value != "" {
				text += "=" + value
			}
			got = append(got, text)
		}
		if fmt.Sprint(got) != fmt.Sprintf("[%s]", test.want) {
			t.Errorf("%q: %s, want %s", test.args, got, test.want)
		}
		if !strings.Contains(test.want, "option") && !slices.Equal(opts.Rest(), strings.Fields(test.rest)) {
			t.Errorf("%q: rest %q", test.args, opts.Rest())
		}
	}
}

func TestEnv(t *testing.T) {
	var errs strings.Builder
	env := Env{Args: []string{"/usr/sbin/postx"}, Stderr: &errs}
	env.Warn("bad %s", "a\x1b[1m\nb")
	if status := env.Usage(&OptionError{Option: 'x'}, "[-a]"); status != 1 {
		t.Errorf("status %d", status)
	}
	want := "postx: warning: bad a?[1m?b\npostx: invalid option -- 'x'\npostx: fatal: usage: postx [-a]\n"
	if errs.String() != want {
		t.Errorf("%q", errs.String())
	}
}
