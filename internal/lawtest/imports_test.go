package lawtest

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "posthaste/"

func TestImportDirections(t *testing.T) {
	for pkg, files := range packages(goFiles(t)) {
		if rowOf(pkg) < 0 {
			t.Errorf("%s: package is in no row of rows_test.go", pkg)
			continue
		}
		for _, f := range files {
			for _, spec := range f.tree.Imports {
				imported, _ := strconv.Unquote(spec.Path.Value)
				ours, ok := strings.CutPrefix(imported, module)
				if !ok {
					continue
				}
				if why := forbidden(pkg, ours); why != "" {
					t.Errorf("%s imports %s: %s", f.path, ours, why)
				}
			}
		}
	}
}

// forbidden says why pkg may not import other; empty: it may.
func forbidden(pkg, other string) string {
	from, to := rowOf(pkg), rowOf(other)
	switch {
	case to < 0:
		return "it is in no row of rows_test.go"
	case slices.Contains(notImported, other) && from <= rowOf(other):
		return "only programs import it"
	case strings.HasPrefix(other, "internal/table/") && from >= firstService && from <= lastService:
		return "services take tables from the wiring"
	case to < from, family(pkg, other, from == to && from < lastService):
		return ""
	case to == from:
		return "both stand in row " + strconv.Itoa(from)
	}
	return "row " + strconv.Itoa(to) + " is below row " + strconv.Itoa(from)
}

// family tells whether two packages belong together: one lies below the
// other and both are in the same row, or, with wide, both lie in one
// directory of internal.
func family(a, b string, wide bool) bool {
	if wide {
		return strings.Split(a, "/")[1] == strings.Split(b, "/")[1]
	}
	return rowOf(a) == rowOf(b) && (strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/"))
}

// rowOf returns the row of a package, or -1.
func rowOf(pkg string) int {
	best, row := -1, -1
	for i, patterns := range rows {
		for _, pattern := range patterns {
			fits := pattern == pkg
			if dir, ok := strings.CutSuffix(pattern, "*"); ok {
				fits = strings.HasPrefix(pkg, dir)
			}
			if fits && len(pattern) > best {
				best, row = len(pattern), i
			}
		}
	}
	return row
}

// TestForbidden is the negative control of the rules above.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		pkg, other string
		ok         bool
	}{
		{"internal/intake", "internal/queue", true},
		{"internal/queue", "internal/intake", false},
		{"internal/mail", "internal/config", false},
		{"internal/config", "internal/maillog", false},
		{"internal/table/hash", "internal/table", true},
		{"internal/table/open", "internal/table/hash", true},
		{"internal/queue", "internal/table", false},
		{"internal/receive/smtpd", "internal/receive/pickup", false},
		{"internal/receive/smtpd", "internal/receive/smtpd/restrictions", true},
		{"internal/schedule", "internal/deliver", true},
		{"internal/schedule", "internal/deliver/smtp", false},
		{"internal/deliver/local", "internal/table", true},
		{"internal/deliver/local", "internal/table/hash", false},
		{"internal/deliver/local", "internal/deliver/remote", true},
		{"internal/system/master", "internal/command", false},
		{"internal/command", "internal/table/hash", true},
		{"cmd/posthaste", "internal/command", true},
		{"internal/mail", "internal/new", false},
	} {
		if why := forbidden(c.pkg, c.other); (why == "") != c.ok {
			t.Errorf("%s imports %s: %q, want allowed %v", c.pkg, c.other, why, c.ok)
		}
	}
}
