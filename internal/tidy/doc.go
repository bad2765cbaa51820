// Package tidy holds tests of the repository's own rules: which package may import which, what
// may be global, how long a file may grow, that generated code matches its source. A rule that
// no test keeps is a wish.
//
// The rules and their exceptions are tables at the top of each test file; an exception has a
// reason.
package tidy
