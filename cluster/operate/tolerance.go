package operate

import (
	"slices"

	"holdfast/cluster"
	"holdfast/cluster/placement"
	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

// How much may still be lost is computed from what placement makes of the drives, not by looking at
// each piece of data: of no piece are more shards on a node, or in a zone, than dealing evenly puts
// there. What is away or lost counts as if one piece had a shard on each of it. While shards are being
// moved to where they should be, a piece may be less well spread than this says.

// unit is what fails as one: a drive, a node or a zone.
type unit func(d *cluster.DriveView) string

func driveUnit(d *cluster.DriveView) string { return d.ID.String() }
func nodeUnit(d *cluster.DriveView) string  { return d.Node.String() }
func zoneUnit(d *cluster.DriveView) string  { return d.Zone }

func inUse(d *cluster.DriveView) bool {
	return d.State != metapb.Drive_GONE && d.State != metapb.Drive_RETIRED
}

// mayFail is how many more units may fail. queued says that data waits for repair.
func (p *picture) mayFail(queued bool) MayFail {
	f := MayFail{Drives: p.tolerance(driveUnit, queued)}
	nodes, zones := map[string]bool{}, map[string]bool{}
	for _, d := range p.those(inUse) {
		nodes[nodeUnit(d)], zones[zoneUnit(d)] = true, true
	}
	if len(nodes) > 1 {
		t := p.tolerance(nodeUnit, queued)
		f.Nodes = &t
	}
	if len(zones) > 1 {
		t := p.tolerance(zoneUnit, queued)
		f.Zones = &t
	}
	return f
}

func (p *picture) tolerance(of unit, queued bool) Tolerance {
	groups := p.groupsTolerate(of)
	return Tolerance{Reads: min(groups, p.dataTolerates(of, queued)), Writes: min(groups, p.writesTolerate(of))}
}

// dataTolerates is how many units may fail with every piece of data readable.
func (p *picture) dataTolerates(of unit, queued bool) int {
	spread := p.spread()
	missing, onNode := p.missing(spread, nil)
	if queued {
		missing = max(missing, 1)
	}
	held, inZone := map[string]int{}, map[string]int{} // shards of one piece
	for _, d := range p.those(inUse) {
		if !p.Alive(d.ID) || onNode[d.Node] >= max(1, spread.OnNode) || inZone[d.Zone] >= max(1, spread.InZone) {
			continue
		}
		onNode[d.Node]++
		inZone[d.Zone]++
		held[of(d)]++
	}
	return worst(held, p.View.Scheme.M-missing)
}

// missing is how many shards of one piece may be missing already, if some drives go too, and on which
// nodes they were.
func (p *picture) missing(spread placement.Spread, too map[id.Drive]bool) (n int, onNode map[id.Node]int) {
	onNode = map[id.Node]int{}
	for i := range p.View.Drives {
		d := &p.View.Drives[i]
		if d.State == metapb.Drive_RETIRED || inUse(d) && p.Alive(d.ID) && !too[d.ID] {
			continue
		}
		if onNode[d.Node] < max(1, spread.OnNode) {
			onNode[d.Node]++
			n++
		}
	}
	return n + max(0, p.View.Scheme.Shards()-spread.Placed), onNode
}

// spread is how placement deals a piece's shards to all drives that hold some, alive or not.
func (p *picture) spread() placement.Spread {
	all := p.Candidates(func(d id.Drive) bool { return p.Fate(d) == upkeep.Stays })
	return placement.SpreadOf(all, p.View.Scheme.Shards())
}

// writesTolerate is how many units may fail with enough drives left for new data.
func (p *picture) writesTolerate(of unit) int {
	usable, total := map[string]int{}, 0
	for _, d := range p.those(func(d *cluster.DriveView) bool { return p.Takes(d.ID) }) {
		usable[of(d)]++
		total++
	}
	return worst(usable, total-writeQuorum(p.View.Scheme.K, p.View.Scheme.M))
}

// writeQuorum is how many shards must be durable before a write is acknowledged.
func writeQuorum(k, m int) int { return k + min(1, m) }

// groupsTolerate is how many units may fail with a majority left in every group.
func (p *picture) groupsTolerate(of unit) int {
	if len(p.groups) == 0 {
		return -1
	}
	least := -1
	for i := range p.groups {
		n := p.groupTolerates(&p.groups[i], of)
		if i == 0 || n < least {
			least = n
		}
	}
	return least
}

func (p *picture) groupTolerates(g *replica.GroupStatus, of unit) int {
	if g.Leader.IsZero() {
		return -1
	}
	well, total := map[string]int{}, 0
	all := voters(g)
	for i := range all {
		if !healthy(&all[i]) {
			continue
		}
		total++
		name := all[i].Drive.String()
		if d := p.Drive(all[i].Drive); d != nil {
			name = of(d)
		}
		well[name]++
	}
	return worst(well, total-len(all)/2-1)
}

// worst is how many units may go, the largest first, with no more than spare pieces lost; -1 if there
// is less than nothing to spare.
func worst(units map[string]int, spare int) (n int) {
	if spare < 0 {
		return -1
	}
	sizes := make([]int, 0, len(units))
	for _, size := range units {
		sizes = append(sizes, size)
	}
	slices.Sort(sizes)
	slices.Reverse(sizes)
	for _, size := range sizes {
		if spare -= size; spare < 0 {
			return n
		}
		n++
	}
	return n
}

// harm refuses that some drives are lost for good, which may be alive still.
func (p *picture) harm(lost map[id.Drive]bool, queued int64) error {
	alive := 0
	for d := range lost {
		if p.Alive(d) {
			alive++
		}
	}
	if alive == 0 {
		return nil // they are missing already
	}
	spread, m := p.spread(), p.View.Scheme.M
	after, _ := p.missing(spread, lost)
	if queued > 0 {
		after++
	}
	if after > m {
		if queued > 0 {
			return refuse(CodeWouldLoseData, "%d pieces of data wait for repair and may miss a shard, and with scheme %s no piece may miss more than %d: wait for the repair (`holdfast admin repair status`), or drain instead", queued, p.View.Scheme, m)
		}
		return refuse(CodeWouldLoseData, "up to %d shards of a piece of data would be missing, and with scheme %s no more than %d may be: drain instead, which moves them first", after, p.View.Scheme, m)
	}
	for i := range p.groups {
		g := &p.groups[i]
		all, left := voters(g), 0
		for j := range all {
			if healthy(&all[j]) && !lost[all[j].Drive] {
				left++
			}
		}
		if quorum := len(all)/2 + 1; left < quorum {
			return refuse(CodeWouldLoseMajority, "%d of %d replicas of metadata group %d would be left, and %d are a majority: drain instead, which moves them first", left, len(all), g.Group, quorum)
		}
	}
	return nil
}
