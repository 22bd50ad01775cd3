package cidr_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"posthaste/internal/table/cidr"
	"posthaste/internal/table/tabletest"
)

const rules = `
1.2.3.4 a
1.2.3.0/24 b
if 10.0.0.0/8
10.1.1.1 x
if !10.2.0.0/16
10.0.0.0/8 not two
endif
endif
[::1] six
[2001:db8::]/32 brack
  continued
! 0.0.0.0/1 upper
`

func TestConformance(t *testing.T) {
	var warnings []string
	tab := cidr.Parse("t", []byte(rules), func(f string, a ...any) { warnings = append(warnings, fmt.Sprintf(f, a...)) })
	tabletest.Run(t, tab, tabletest.Case{
		Entries: map[string]string{
			"1.2.3.4": "a", "1.2.3.5": "b", "10.1.1.1": "x", "10.9.1.1": "not two", "::1": "six", "2001:db8::9": "brack  continued",
			"200.1.1.1": "upper", "2001:0DB8:0::9": "brack  continued",
		},
		Missing: []string{"10.2.1.1", "1.2.4.4", "[::1]", "1.2.3.4/32", "1.2.3", "host.test", "fe80::1"},
	})
	if len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
}

// The texts are those of Postfix 3.7.
func TestWarnings(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.2.3/24 x":         `cidr map t, line 1: non-null host address bits in "10.1.2.3/24", perhaps you should use "10.1.2.0/24" instead: skipping this rule`,
		"foo bar":               `cidr map t, line 1: bad address pattern: "foo": skipping this rule`,
		"1.2.3.4":               `cidr map t, line 1: no lookup result: skipping this rule`,
		"endif":                 `cidr map t, line 1: ENDIF without IF: skipping this rule`,
		"if 1.2.3.4 j\nendif":   `cidr map t, line 1: bad address pattern: "1.2.3.4 j": skipping this rule`,
		"if":                    `cidr map t, line 1: no address pattern: skipping this rule`,
		"1.2.3.4/33 x":          `cidr map t, line 1: bad mask length in "1.2.3.4/33": skipping this rule`,
		"if 1.2.3.4\n1.2.3.4 x": `cidr map t, line 1: IF has no matching ENDIF`,
	} {
		var got []string
		cidr.Parse("t", []byte(text), func(f string, a ...any) { got = append(got, fmt.Sprintf(f, a...)) })
		if !slices.Contains(got, want) {
			t.Errorf("%q: %q; want %q", text, got, want)
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add(rules, "1.2.3.4")
	f.Add("if ::/0\n!1.1.1.1 x\nendif", "::ffff:1.2.3.4")
	f.Fuzz(func(t *testing.T, rules, key string) {
		tab := cidr.Parse("t", []byte(rules), func(string, ...any) {})
		value, found, err := tab.Lookup(context.Background(), key)
		if err != nil {
			t.Fatal(err)
		}
		// Only an address can be found, and only with a value of the rules.
		_, bad := netip.ParseAddr(key)
		if found && (bad != nil || value == "" || strings.Trim(value, rules) != "") || !found && value != "" {
			t.Fatalf("%q: %q, %v", key, value, found)
		}
	})
}
