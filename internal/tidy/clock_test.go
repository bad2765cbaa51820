package tidy

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// clockless are the packages that are given the time and never ask for it.
func clockless() []string {
	return []string{"meta/fsm", "cluster/placement", "seal", "erasure", "api/sigv4", "api/policy"}
}

func TestPurePackagesReadNoClock(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || under(s.dir, "erasure/fanout") || !slices.ContainsFunc(clockless(), func(d string) bool { return under(s.dir, d) }) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if called(n, "time", "Now") || called(n, "time", "Since") || called(n, "time", "Until") {
				t.Errorf("%s reads the clock", s.at(n))
			}
			return true
		})
	}
}

// TestNothingSleepsToWait: a test that sleeps is slow on a fast machine and wrong on a slow one.
func TestNothingSleepsToWait(t *testing.T) {
	for _, s := range sources(t) {
		if !s.test {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && polls(f.Name.Name) {
				continue
			}
			ast.Inspect(d, func(n ast.Node) bool {
				if called(n, "time", "Sleep") {
					t.Errorf("%s sleeps; wait for what is to happen: on a channel, or in a function wait…, eventually… or poll… that asks again until a deadline", s.at(n))
				}
				return true
			})
		}
	}
}

// polls reports whether a function's name says that it asks again until a deadline.
func polls(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "wait") || strings.HasPrefix(name, "eventually") || strings.HasPrefix(name, "poll")
}

// called reports whether n is pkg.name.
func called(n ast.Node, pkg, name string) bool {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == pkg
}
