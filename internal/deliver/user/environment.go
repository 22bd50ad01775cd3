package user

import (
	"strings"

	"posthaste/internal/table"
)

// CommandPath is the PATH of every command.
const CommandPath = "PATH=/usr/bin:/bin"

// Filter replaces every byte of value that is not in allowed by '_'
// (command_expansion_filter and its kin).
func Filter(value, allowed string) string {
	out := []byte(value)
	for i, c := range out {
		if strings.IndexByte(allowed, c) < 0 {
			out[i] = '_'
		}
	}
	return string(out)
}

// Exported are the variables that export_environment lets through: `name`
// with its value in this process, if it has one, and `name=value`.
func (p Params) Exported(lookup func(string) (string, bool)) []string {
	var env []string
	for _, item := range p.ExportEnvironment {
		if strings.HasPrefix(item, "{") {
			inner, err := table.Unbrace(item)
			if err != nil {
				continue
			}
			item = inner
		}
		name, value, set := strings.Cut(item, "=")
		if !set {
			if value, set = lookup(name); !set {
				continue
			}
		}
		if name = strings.TrimSpace(name); name == "" || name == "PATH" || strings.ContainsRune(value, 0) {
			continue
		}
		env = append(env, name+"="+strings.TrimSpace(value))
	}
	return env
}
