package erasure

import "fmt"

const (
	// mostDefaultShards is the largest K+M that is chosen by itself: with more, each object costs
	// more drives a seek than the parity saves room.
	mostDefaultShards = 16
	// nodesForWrites is the fewest nodes of which any one may be lost while writes go on.
	nodesForWrites = 4
)

// DefaultFor is the scheme of a cluster that starts with so many drives on each of its nodes.
//
// Let the fullest node hold s of the n shards of any data, s = ceil(n/nodes), which takes drives enough
// on the others. With four nodes and more, m is s+1: whichever node is lost, n-s ≥ k+1 shards are left,
// one more than a read needs, and that is what a write needs. With three nodes m is s: reads go
// on. The scheme is the one with the most data shards, and of those the one with the fewest in all.
//
//	nodes × drives   4×1  4×2  4×4   5×4   6×1  8×2   16×1
//	scheme           2+2  5+3  11+5  11+4  4+2  13+3  14+2
//
// A majority of each group's replicas is left too: 2m+1 of them, as replica.ReplicationFactor has it, or
// as many as there are drives, spread as the shards are. A node or two cannot be lost in any case:
// there the number of drives alone counts, as in Default.
func DefaultFor(drivesPerNode []int) (Scheme, error) {
	nodes, drives := 0, 0
	for _, d := range drivesPerNode {
		if d > 0 {
			nodes, drives = nodes+1, drives+d
		}
	}
	if nodes < 3 {
		return Default(drives)
	}
	var best Scheme
	for n := 3; n <= min(drives, mostDefaultShards); n++ {
		s := (n + nodes - 1) / nodes
		if level(drivesPerNode, s) < n {
			continue // some node would have to take more
		}
		m := s + 1
		if nodes < nodesForWrites {
			m = max(2, s)
		}
		if k := n - m; k > best.K {
			best = Scheme{K: k, M: m}
		}
	}
	if best.K == 0 {
		return best, fmt.Errorf("erasure: no scheme for drives %v", drivesPerNode)
	}
	return best, best.Validate()
}

// level is how many shards nodes take when none takes more than s.
func level(drivesPerNode []int, s int) (n int) {
	for _, d := range drivesPerNode {
		n += min(max(d, 0), s)
	}
	return n
}
