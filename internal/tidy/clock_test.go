package tidy

import (
	"go/ast"
	"slices"
	"testing"
)

// clockless are the packages that are given the time and never ask for it.
func clockless() []string {
	return []string{"bucket", "meta/fsm", "cluster/placement", "seal", "erasure", "api/sigv4", "api/policy"}
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
// What may sleep: a loop that asks again, a line whose comment says what the sleep plays (a slow
// drive, the time between two faults), and packages that test in the fake time of synctest.
func TestNothingSleepsToWait(t *testing.T) {
	all := sources(t)
	var fake []string // directories
	for _, s := range all {
		for _, i := range s.file.Imports {
			if i.Path.Value == `"testing/synctest"` {
				fake = append(fake, s.dir)
			}
		}
	}
	for _, s := range all {
		if !s.test || slices.ContainsFunc(fake, func(d string) bool { return under(s.dir, d) }) {
			continue
		}
		explained := map[int]bool{}
		for _, c := range s.file.Comments {
			explained[s.fset.Position(c.Pos()).Line] = true
		}
		loops := 0
		var visit func(n ast.Node) bool
		visit = func(n ast.Node) bool {
			var body *ast.BlockStmt
			switch loop := n.(type) {
			case *ast.ForStmt:
				body = loop.Body
			case *ast.RangeStmt:
				body = loop.Body
			}
			if body != nil {
				loops++
				ast.Inspect(body, visit)
				loops--
				return false
			}
			if called(n, "time", "Sleep") && loops == 0 && !explained[s.fset.Position(n.Pos()).Line] {
				t.Errorf("%s sleeps to wait: wait for what is to happen, on a channel or in a loop that asks again; or say in a comment on the line what the sleep plays", s.at(n))
			}
			return true
		}
		ast.Inspect(s.file, visit)
	}
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
