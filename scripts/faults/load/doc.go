// Package load writes to a Holdfast and remembers every answer, and checks afterwards that what
// was acknowledged is there, that what was refused or deleted is not, and that no other byte is read.
//
// # The ledger
//
// A key belongs to one writer, which does one thing at a time: the order of what happens to it is known.
// An operation whose request got no clear answer (a broken connection, a time limit, a 5xx) may
// still happen, at any later time: a server that was stopped may go on with it when it continues.
// Such a key is retired: it is never written again, and both states are right until one was read.
//
// # The load
//
// Writers go through all fronts in turn, and try again elsewhere when an attempt fails, as a client
// behind a load balancer would. A front that was struck is left out by all but one writer, which has keys
// of its own. What an operation took, with all its attempts, is what a user would have waited.
package load
