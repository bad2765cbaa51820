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

// Placer places shards on the drives that take writes.
type Placer struct {
	// Drives are those of the one process there is, where there is no Directory.
	Drives Drives
	// Directory knows the drives of a cluster.
	Directory *Directory
}

// Place chooses n drives for a data ID in shard order, and spares. Where fewer than n take
// writes the rest are zero.
func (p Placer) Place(data id.Data, n int) (chosen, spares []id.Drive) {
	if p.Directory != nil {
		return placement.Choose(p.Directory.candidates(), data, n)
	}
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
	if p.Directory != nil {
		s := p.Directory.latest.Load()
		return s.full || slices.ContainsFunc(s.local, func(l localCandidate) bool { return l.drive.Status().ReadOnly })
	}
	return slices.ContainsFunc(p.Drives.All(), func(d node.Drive) bool { return d.Status().ReadOnly })
}

// candidates are the View's, but for drives of this process, which are asked: one that has just
// failed or filled up takes no shard, as in a single process.
func (d *Directory) candidates() []placement.Candidate {
	s := d.latest.Load()
	all, copied := s.candidates, false
	for i := range s.local {
		l := &s.local[i]
		st := l.drive.Status()
		if told := !st.Out && !st.ReadOnly; told != l.told {
			if !copied {
				all, copied = slices.Clone(all), true
				signal(d.wake)
			}
			all[l.index].Healthy = told
		}
	}
	return all
}
