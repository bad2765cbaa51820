package tidy

import (
	"bytes"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	maxLines     = 450 // of a file; the usual one has 150
	maxTestLines = 800
)

// longFiles may be longer than the limit, for the reason given.
func longFiles() map[string]string {
	return map[string]string{}
}

func TestFilesStayShort(t *testing.T) {
	for _, s := range sources(t) {
		limit := maxLines
		if s.test {
			limit = maxTestLines
		}
		_, allowed := longFiles()[s.path]
		switch {
		case s.generated:
		case s.lines > limit && !allowed:
			t.Errorf("%s has %d lines, over %d: cut it by subject, or give a reason in longFiles()", s.path, s.lines, limit)
		case s.lines <= limit && allowed:
			t.Errorf("%s is short now: take it out of longFiles()", s.path)
		}
	}
}

func TestPackageNamesSayWhatIsInside(t *testing.T) {
	empty := []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "base", "lib", "shared"}
	for _, s := range sources(t) {
		if name := s.file.Name.Name; slices.Contains(empty, strings.TrimSuffix(name, "_test")) {
			t.Errorf("%s: package %s says nothing of what is in it", s.path, name)
		}
	}
}

func TestEveryPackageIsDescribed(t *testing.T) {
	described, seen := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		seen[s.dir] = true
		if s.file.Doc != nil && (strings.HasPrefix(s.file.Doc.Text(), "Package "+s.file.Name.Name+" ") || s.file.Name.Name == "main") {
			described[s.dir] = true
		}
	}
	for dir := range seen {
		if !described[dir] {
			t.Errorf("%s has no package comment that begins with \"Package %s\"", dir, path.Base(dir))
		}
	}
}

func TestNoInitFunctions(t *testing.T) {
	for _, s := range sources(t) {
		if s.generated {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init(): what happens at start is written in serve.go", s.at(f))
			}
		}
	}
}

// TestNoForeignPaths keeps paths of the machines on which this was written out of the repository.
func TestNoForeignPaths(t *testing.T) {
	words := [][]byte{
		[]byte("/" + "work/"), []byte("/" + "opt/peers"), []byte("/tmp/" + "contract"), []byte(".." + "/shared/"), []byte("/root" + "/"),
	}
	for _, f := range tracked(t) {
		text, err := os.ReadFile(filepath.Join(root(t), f))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if i := bytes.Index(text, w); i >= 0 {
				t.Errorf("%s:%d mentions %s", f, bytes.Count(text[:i], []byte("\n"))+1, w)
			}
		}
	}
}
