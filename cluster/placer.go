package cluster

import (
	"slices"

	"holdfast/cluster/placement"
	"holdfast/internal/id"
	"holdfast/node"
)

// Drives are the drives that this process reaches.
type Drives interface {
	All() []node.Drive
}

// Placer places shards on the reachable drives that take writes.
type Placer struct {
	Drives Drives
}

// Place chooses n drives for a data ID in shard order, and spares. Where fewer than n take
// writes the rest are zero.
func (p Placer) Place(data id.Data, n int) (chosen, spares []id.Drive) {
	drives := p.Drives.All()
	candidates := make([]placement.Candidate, 0, len(drives))
	for _, d := range drives {
		s := d.Status()
		candidates = append(candidates, placement.Candidate{
			ID: s.ID, Weight: float64(s.TotalBytes), Healthy: !s.Out && !s.ReadOnly})
	}
	return placement.Choose(candidates, data, n)
}

// Full reports whether a drive has come down to its reserve. Shards then go to others, but metadata
// replicas stay where they are: what is inlined in metadata would eat up the reserve, and Badger,
// which writes through a mapping, does not survive a file system that is really full.
func (p Placer) Full() bool {
	return slices.ContainsFunc(p.Drives.All(), func(d node.Drive) bool { return d.Status().ReadOnly })
}
