// Package nodetest has what tests of drives and of their users share: a drive in memory with
// faults on demand, and the conformance suite that every node.Drive must pass.
package nodetest
