// Package environ is the environ: table: keys are names of environment
// variables. It reads the environment of the process.
package environ

import (
	"context"
	"os"
	"strings"
)

// Table looks into the environment.
type Table struct{}

// Lookup returns the variable's value.
func (Table) Lookup(_ context.Context, key string) (string, bool, error) {
	value, found := os.LookupEnv(key)
	return value, found, nil
}

// Each lists the environment.
func (Table) Each(yield func(key, value string) bool) error {
	for _, pair := range os.Environ() {
		if key, value, _ := strings.Cut(pair, "="); !yield(key, value) {
			break
		}
	}
	return nil
}
