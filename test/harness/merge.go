package harness

import "strings"

// mergeMain adds settings to a main.cf; a name that is set again is replaced,
// so that the real Postfix does not warn of it.
func mergeMain(base, more string) string {
	set := make(map[string]bool)
	for l := range strings.SplitSeq(more, "\n") {
		if name, _, ok := strings.Cut(l, "="); ok && l[0] != '#' && l[0] != ' ' && l[0] != '\t' {
			set[strings.TrimSpace(name)] = true
		}
	}
	var b strings.Builder
	for l := range strings.Lines(base) {
		if name, _, _ := strings.Cut(l, "="); !set[strings.TrimSpace(name)] {
			b.WriteString(l)
		}
	}
	b.WriteString(strings.TrimRight(more, "\n") + "\n")
	return b.String()
}

// mergeMaster adds rows to a master.cf; a row with the same name and type
// replaces the base's.
func mergeMaster(base, more string) string {
	key := func(l string) string {
		f := strings.Fields(l)
		if len(f) < 8 || l[0] == '#' || l[0] == ' ' {
			return ""
		}
		return f[0] + " " + f[1]
	}
	set := make(map[string]bool)
	for l := range strings.SplitSeq(more, "\n") {
		set[key(l)] = true
	}
	var b strings.Builder
	for l := range strings.Lines(base) {
		if k := key(l); k == "" || !set[k] {
			b.WriteString(l)
		}
	}
	b.WriteString(strings.TrimRight(more, "\n") + "\n")
	return b.String()
}
