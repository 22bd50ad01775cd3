package lawtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// file is one Go file of the project.
type file struct {
	path string // from the root of the project
	pkg  string // directory of it
	test bool
	data []byte
	tree *ast.File
	fset *token.FileSet
}

// root is the directory of the project, seen from this package.
const root = "../.."

// goFiles reads all Go files of the project.
func goFiles(t *testing.T) []file {
	t.Helper()
	var files []file
	for _, dir := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return filepath.SkipDir
			case d.IsDir() || filepath.Ext(name) != ".go":
				return nil
			}
			files = append(files, readFile(t, name))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func readFile(t *testing.T, name string) file {
	t.Helper()
	rel, err := filepath.Rel(root, name)
	if err != nil {
		t.Fatal(err)
	}
	f := file{path: filepath.ToSlash(rel), fset: token.NewFileSet()}
	f.pkg = path.Dir(f.path)
	f.test = strings.HasSuffix(name, "_test.go")
	if f.data, err = os.ReadFile(name); err != nil {
		t.Fatal(err)
	}
	if f.tree, err = parser.ParseFile(f.fset, f.path, f.data, parser.ParseComments|parser.SkipObjectResolution); err != nil {
		t.Error(err)
		f.tree = &ast.File{Name: ast.NewIdent("broken")}
	}
	return f
}

// packages groups files by directory, tests left out.
func packages(files []file) map[string][]file {
	pkgs := make(map[string][]file)
	for _, f := range files {
		if !f.test {
			pkgs[f.pkg] = append(pkgs[f.pkg], f)
		}
	}
	return pkgs
}
