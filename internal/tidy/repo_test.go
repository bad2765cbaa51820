package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// root is the repository's directory.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// tracked lists the repository's files, slash-separated and relative to root: what git tracks,
// or everything where there is no git.
func tracked(t *testing.T) []string {
	t.Helper()
	dir := root(t)
	var files []string
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = dir
	if out, err := cmd.Output(); err == nil {
		for f := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
			if _, err := os.Lstat(filepath.Join(dir, f)); err == nil {
				files = append(files, f)
			}
		}
		return files
	}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "holdfast-data") {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() {
			rel, err := filepath.Rel(dir, p)
			if err != nil {
				return err
			}
			files = append(files, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// source is one parsed Go file.
type source struct {
	path      string // relative to root
	dir       string // its package's directory: "meta/fsm"
	test      bool
	generated bool
	lines     int
	fset      *token.FileSet
	file      *ast.File
}

// at is a position for messages.
func (s *source) at(n ast.Node) string {
	p := s.fset.Position(n.Pos())
	return s.path + ":" + strconv.Itoa(p.Line)
}

// sources parses the repository's Go files.
func sources(t *testing.T) []*source {
	t.Helper()
	dir := root(t)
	var all []*source
	for _, f := range tracked(t) {
		if !strings.HasSuffix(f, ".go") || strings.Contains(f, "/testdata/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		s := &source{path: f, dir: path.Dir(f), test: testCode(f), fset: token.NewFileSet()}
		if s.file, err = parser.ParseFile(s.fset, f, text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
		s.lines = strings.Count(string(text), "\n")
		s.generated = ast.IsGenerated(s.file)
		all = append(all, s)
	}
	if len(all) < 10 {
		t.Fatalf("only %d Go files found: the test looks in the wrong place", len(all))
	}
	return all
}

// testCode reports whether a file is for tests: by its name, or by its package's, as in nodetest.
func testCode(f string) bool {
	return strings.HasSuffix(f, "_test.go") || strings.HasSuffix(path.Dir(f), "test")
}

// imports lists a file's imports of this module, without the module's name.
func (s *source) imports() []string {
	var all []string
	for _, i := range s.file.Imports {
		if p, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "holdfast/"); ours {
			all = append(all, p)
		}
	}
	return all
}

// under reports whether directory dir is tree or lies below it.
func under(dir, tree string) bool { return dir == tree || strings.HasPrefix(dir, tree+"/") }
