package tidy

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// globals are package variables that are neither errors nor tables, each with its reason.
func globals() map[string]string {
	return map[string]string{
		"cmd/holdfast.version": "the linker sets it",
	}
}

// TestPackageVariablesAreErrorsOrTables: a package's state lives in values that somebody made
// and can make twice. Allowed are Err… sentinels, interface assertions, and tables: literals (or
// values computed from literals) which nothing in the package assigns to.
func TestPackageVariablesAreErrorsOrTables(t *testing.T) {
	packages := map[string][]*source{}
	for _, s := range sources(t) {
		if !s.test && !s.generated {
			packages[s.dir] = append(packages[s.dir], s)
		}
	}
	for dir, files := range packages {
		written := writtenNames(files)
		for _, s := range files {
			for _, v := range variables(s) {
				name := dir + "." + v.name
				_, excused := globals()[name]
				why := ""
				switch {
				case excused, v.name == "_", strings.HasPrefix(v.name, "Err"), strings.HasPrefix(v.name, "err"):
				case written[v.name]:
					why = "is assigned to"
				case v.value == nil && shared(v.typ), v.value != nil && !table(v.value):
					why = "is not a table"
				}
				if why != "" {
					t.Errorf("%s: package variable %s %s; make it part of a value, or give a reason in globals()", s.at(v.node), name, why)
				}
			}
		}
	}
}

type variable struct {
	name  string
	node  ast.Node
	typ   ast.Expr // nil: inferred
	value ast.Expr // nil: the zero value
}

func variables(s *source) []variable {
	var all []variable
	for _, d := range s.file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, spec := range g.Specs {
			vs := spec.(*ast.ValueSpec)
			for i, n := range vs.Names {
				v := variable{name: n.Name, node: n, typ: vs.Type}
				if i < len(vs.Values) {
					v.value = vs.Values[i]
				}
				all = append(all, v)
			}
		}
	}
	return all
}

// table reports whether an initialiser makes a value that can stay as it is: a literal, or one of
// the calls that turn a literal into a table.
func table(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit, *ast.BinaryExpr:
		return true
	case *ast.CompositeLit:
		return !shared(e.Type)
	case *ast.UnaryExpr:
		return table(e.X)
	case *ast.CallExpr:
		switch name := exprString(e.Fun); {
		case strings.HasPrefix(name, "regexp.MustCompile"), strings.HasPrefix(name, "crc32.MakeTable"), strings.HasPrefix(name, "crc64.MakeTable"),
			strings.HasPrefix(name, "strings.NewReplacer"), strings.HasPrefix(name, "netip.MustParse"), name == "[]byte", name == "template.Must":
			return true
		default:
			_, literal := e.Fun.(*ast.FuncLit) // computed on the spot
			return literal
		}
	}
	return false
}

// shared reports whether a type is made to be changed. A sync.Pool is not: it holds memory and no
// state, and a second one of it would only be a worse one.
func shared(typ ast.Expr) bool {
	name := exprString(typ)
	return name != "sync.Pool" && (strings.HasPrefix(name, "sync.") || strings.HasPrefix(name, "atomic."))
}

func exprString(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return exprString(e.X) + "." + e.Sel.Name
	case *ast.ArrayType:
		return "[]" + exprString(e.Elt)
	}
	return ""
}

// writtenNames are the identifiers that some function of the package assigns to, in whole or in
// part. It knows no scopes: a local variable of the same name counts too, and should be renamed.
func writtenNames(files []*source) map[string]bool {
	written := map[string]bool{}
	note := func(e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
				continue
			case *ast.SelectorExpr:
				e = x.X
				continue
			case *ast.StarExpr:
				e = x.X
				continue
			case *ast.Ident:
				written[x.Name] = true
			}
			return
		}
	}
	for _, s := range files {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, l := range n.Lhs {
						note(l)
					}
				}
			case *ast.IncDecStmt:
				note(n.X)
			case *ast.UnaryExpr:
				if n.Op == token.AND { // whoever has its address can assign to it
					note(n.X)
				}
			case *ast.CallExpr:
				if f := exprString(n.Fun); (f == "delete" || f == "clear") && len(n.Args) > 0 {
					note(n.Args[0])
				}
			}
			return true
		})
	}
	return written
}
