// Package cluster knows which drives there are and where shards go. Placement itself is the pure
// function of package placement; this package feeds it with the state of the drives.
package cluster
