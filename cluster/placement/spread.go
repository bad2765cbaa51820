package placement

import (
	"fmt"
	"slices"

	"holdfast/internal/id"
)

// Spread is how evenly n pieces can lie on drives.
type Spread struct {
	Zones, Nodes, Drives int // that are healthy
	Placed               int // pieces that have a drive
	// InZone and OnNode are the most pieces that one zone and one node get, and which.
	InZone, OnNode int
	Zone           string
	Node           id.Node
}

// SpreadOf deals n pieces as Choose and Replicas do.
func SpreadOf(drives []Candidate, n int) Spread {
	var (
		s            Spread
		zones, nodes []count
		free         []entry
	)
	for i := range drives {
		if !drives[i].Healthy {
			continue
		}
		var e entry
		zones, e.zone = slot(zones, drives, i, sameZone)
		nodes, e.node = slot(nodes, drives, i, sameNode)
		free = append(free, e)
	}
	s.Zones, s.Nodes, s.Drives = len(zones), len(nodes), len(free)
	for s.Placed < n && len(free) > 0 {
		best := 0
		for j := 1; j < len(free); j++ {
			if better(&free[j], &free[best], zones, nodes) {
				best = j
			}
		}
		z, o := &zones[free[best].zone], &nodes[free[best].node]
		z.shards, o.shards, s.Placed = z.shards+1, o.shards+1, s.Placed+1
		if z.shards > s.InZone {
			s.InZone, s.Zone = z.shards, drives[z.first].Zone
		}
		if o.shards > s.OnNode {
			s.OnNode, s.Node = o.shards, drives[o.first].Node
		}
		free = slices.Delete(free, best, best+1)
	}
	return s
}

// Shortcomings says, for people, what keeps k+m shards and factor replicas from lying so that any one
// zone, or any one node, may be lost. name is what people call a node. It is empty when all is well.
func Shortcomings(drives []Candidate, k, m, factor int, name func(id.Node) string) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	n := k + m
	shards, replicas := SpreadOf(drives, n), SpreadOf(drives, factor)
	if shards.Placed < n {
		say("%d drives take shards, and data has %d: %d of them find no drive; add drives", shards.Drives, n, n-shards.Placed)
	}
	if unnamed, named := zoneless(drives); unnamed > 0 && named > 0 {
		say("%d drives are in no zone and count as one; give every node a zone, or none", unnamed)
	}
	if shards.Zones > 1 {
		if shards.InZone > m {
			say("%d zones: %d of %d shards are in zone %q, and %d may be lost: without it data cannot be read", shards.Zones, shards.InZone, n, shards.Zone, m)
		}
		if lost := replicas.InZone; 2*(replicas.Placed-lost) <= replicas.Placed {
			say("%d zones: %d of %d metadata replicas are in zone %q: without it there is no majority", replicas.Zones, lost, replicas.Placed, replicas.Zone)
		}
	}
	if shards.Nodes > 1 {
		switch {
		case shards.OnNode > m:
			say("%d nodes: %d of %d shards are on node %s, and %d may be lost: without it data cannot be read", shards.Nodes, shards.OnNode, n, name(shards.Node), m)
		case shards.OnNode > m-1 && m > 0:
			say("%d nodes: %d of %d shards are on node %s: without it data can be read but not written", shards.Nodes, shards.OnNode, n, name(shards.Node))
		}
		if lost := replicas.OnNode; 2*(replicas.Placed-lost) <= replicas.Placed {
			say("%d nodes: %d of %d metadata replicas are on node %s: without it there is no majority", replicas.Nodes, lost, replicas.Placed, name(replicas.Node))
		}
	}
	return out
}

func zoneless(drives []Candidate) (unnamed, named int) {
	for i := range drives {
		switch {
		case !drives[i].Healthy:
		case drives[i].Zone == "":
			unnamed++
		default:
			named++
		}
	}
	return unnamed, named
}
