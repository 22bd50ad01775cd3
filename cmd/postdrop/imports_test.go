package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed are the packages of ours that the setgid program may consist of,
// with all that they import themselves. Each new one is a decision.
var allowed = []string{
	"posthaste/internal/command/setgid",
	"posthaste/internal/config",
	"posthaste/internal/getopt",
	"posthaste/internal/ipc",
	"posthaste/internal/mail",
	"posthaste/internal/maillog",
	"posthaste/internal/queue", // maildrop, and the listing for root when the system is down
	"posthaste/internal/queue/record",
	"posthaste/internal/selection", // postqueue --where; it imports nothing of ours
	"posthaste/internal/showq",
	"posthaste/internal/table", // lists of authorized users
	"posthaste/internal/table/hash",
	"posthaste/internal/table/inline",
	"posthaste/internal/table/source",
	"posthaste/internal/table/static",
	"posthaste/internal/table/texthash",
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	var walk func(dir string)
	walk = func(dir string) {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no source: %v", dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range tree.Imports {
				path, _ := strconv.Unquote(spec.Path.Value)
				switch first, _, _ := strings.Cut(path, "/"); {
				case path == "net/http" || path == "os/exec" || path == "plugin" || path == "C":
					t.Errorf("%s imports %s", file, path)
				case strings.Contains(first, ".") && !strings.HasPrefix(path, "golang.org/x/sys/"):
					t.Errorf("%s imports %s", file, path)
				case first == "posthaste" && !seen[path]:
					seen[path] = true
					if !slices.Contains(allowed, path) {
						t.Errorf("%s imports %s, which is not in the list", file, path)
					}
					walk(filepath.Join("../..", strings.TrimPrefix(path, "posthaste/")))
				}
			}
		}
	}
	if _, err := os.Stat("main.go"); err != nil {
		t.Fatal(err)
	}
	walk(".")
}
