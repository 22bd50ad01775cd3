// Package randmap is the randmap: table: every key has one of the values,
// chosen anew each time. It touches nothing outside.
package randmap

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"posthaste/internal/config"
	"posthaste/internal/table"
)

// Table is the list of values.
type Table []string

// Open reads `{value, {value with spaces}, …}`.
func Open(name string) (Table, error) {
	body, err := table.Unbrace(name)
	values := config.SplitList(body)
	if err != nil || len(values) == 0 {
		return nil, fmt.Errorf("bad syntax: \"randmap:%s\"; need \"randmap:{value...}\"", name)
	}
	for i, value := range values {
		if strings.HasPrefix(value, "{") {
			if values[i], err = table.Unbrace(value); err != nil {
				return nil, fmt.Errorf("%w: \"randmap:%s\"; need \"randmap:{value...}\"", err, name)
			}
		}
	}
	return values, nil
}

// Lookup always finds.
func (t Table) Lookup(context.Context, string) (string, bool, error) {
	return t[rand.IntN(len(t))], true, nil
}
