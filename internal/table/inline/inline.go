// Package inline is the inline: table: its entries stand in main.cf. It
// touches nothing outside.
package inline

import (
	"fmt"
	"strings"

	"posthaste/internal/config"
	"posthaste/internal/table"
)

// Open reads `{key=value, {key = value with spaces}, …}`. The last of several
// entries with one key counts.
func Open(name string, opts table.Options) (table.Memory, error) {
	syntax := func(text string) error {
		return fmt.Errorf("%s: \"inline:%s\"; need \"inline:{name=value...}\"", text, name)
	}
	body, err := table.Unbrace(name)
	items := config.SplitList(body)
	if err != nil || len(items) == 0 {
		return nil, syntax("bad syntax")
	}
	t := table.Memory{}
	for _, item := range items {
		if strings.HasPrefix(item, "{") {
			if item, err = table.Unbrace(item); err != nil {
				return nil, syntax(err.Error())
			}
		}
		key, value, ok := strings.Cut(item, "=")
		key = strings.TrimSpace(key)
		switch {
		case !ok:
			return nil, syntax("missing '=' after attribute name")
		case key == "":
			return nil, syntax("missing attribute name")
		}
		t[opts.Key(key)] = strings.TrimSpace(value)
	}
	return t, nil
}
