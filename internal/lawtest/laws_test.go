package lawtest

import (
	"bytes"
	"go/ast"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	maxFileLines     = 600
	maxFunctionLines = 80
)

func TestSizes(t *testing.T) {
	for _, f := range goFiles(t) {
		if n := bytes.Count(f.data, []byte("\n")); n > maxFileLines {
			t.Errorf("%s: %d lines, the most is %d", f.path, n, maxFileLines)
		}
		if f.test {
			continue // a table of cases may be long
		}
		for _, d := range f.tree.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			from, to := f.fset.Position(fn.Pos()).Line, f.fset.Position(fn.End()).Line
			if n := to - from + 1; n > maxFunctionLines {
				t.Errorf("%s:%d: function %s has %d lines, the most is %d", f.path, from, fn.Name.Name, n, maxFunctionLines)
			}
		}
	}
}

// TestPackageComments wants a comment of more than a name: what the package is
// for, and what it may touch.
func TestPackageComments(t *testing.T) {
	const least = 60 // characters; a sentence that says something
	for pkg, files := range packages(goFiles(t)) {
		var doc string
		for _, f := range files {
			if f.tree.Doc != nil {
				doc += f.tree.Doc.Text()
			}
		}
		want := "Package " + files[0].tree.Name.Name + " "
		if files[0].tree.Name.Name == "main" {
			want = "Command "
		}
		if !strings.HasPrefix(doc, want) || len(doc) < least {
			t.Errorf("%s: no package comment %q that says what it is for and what it may touch", pkg, want+"…")
		}
	}
}

func TestFormatted(t *testing.T) {
	for _, f := range goFiles(t) {
		good, err := format.Source(f.data)
		if err != nil {
			t.Errorf("%s: %v", f.path, err)
			continue
		}
		if !bytes.Equal(good, f.data) {
			t.Errorf("%s: not formatted: run gofmt", f.path)
		}
	}
}

// TestParametersDeclaredOnce wants each main.cf parameter in one struct: name,
// default and meaning have one home.
func TestParametersDeclaredOnce(t *testing.T) {
	home := make(map[string]string)
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok || field.Tag == nil {
				return true
			}
			text, _ := strconv.Unquote(field.Tag.Value)
			tag := reflect.StructTag(text)
			name, ok := tag.Lookup("cf")
			if !ok {
				return true
			}
			where := f.fset.Position(field.Pos()).String()
			if first, twice := home[name]; twice {
				t.Errorf("%s: parameter %s is declared at %s too", where, name, first)
			}
			home[name] = where
			if tag.Get("doc") == "" {
				t.Errorf("%s: parameter %s has no doc", where, name)
			}
			return true
		})
	}
}

// TestNothingLeftUndone looks for the marks of unfinished work.
func TestNothingLeftUndone(t *testing.T) {
	marks := []string{"TO" + "DO", "FIX" + "ME", "XX" + "X:"}
	kinds := []string{".go", ".md", ".txtar", ".mod", ".sh"}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "fuzz"):
			return filepath.SkipDir
		case d.IsDir() || !slices.Contains(kinds, filepath.Ext(name)):
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, mark := range marks {
			if i := bytes.Index(data, []byte(mark)); i >= 0 {
				t.Errorf("%s:%d: %s", name, 1+bytes.Count(data[:i], []byte("\n")), mark)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
