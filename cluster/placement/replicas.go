package placement

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/zeebo/xxh3"

	"holdfast/internal/id"
)

// round is how many groups are dealt before the drives must be level again: as many as a cluster has by
// default, with the system group. Within a round hashing decides, so that little moves when a drive
// comes or goes.
const round = 17

// Replicas are the drives of a group's replicas; the first should lead it. Where fewer drives are healthy
// than factor says there are fewer.
//
// Replicas spread over zones, then nodes, then drives, as shards do. Then hashing decides (rendezvous),
// but a drive that has its equal share of the round is passed over: drives take part alike, whatever
// their size, for a replica costs much the same as any other. The order of the candidates does not matter.
func Replicas(drives []Candidate, group uint32, factor int) []id.Drive {
	plan := ReplicaPlan(drives, group+1, factor)
	return plan[group]
}

// ReplicaPlan is Replicas of the groups from 0 to groups-1. Its cost is groups × factor × drives.
func ReplicaPlan(drives []Candidate, groups uint32, factor int) [][]id.Drive {
	d := newDealer(drives)
	plan := make([][]id.Drive, groups)
	for g := range groups {
		plan[g] = d.deal(g, factor)
	}
	return plan
}

// dealer knows what the groups so far have got.
type dealer struct {
	drives       []Candidate // healthy ones, by ID
	zone, node   []int32     // of each drive, index into the counts
	zones, nodes []count     // replicas of this group
	load, leads  []int       // of each drive
	nodeLeads    []int
	left, share  int // groups of this round; replicas to its end
	scores       []uint64
}

func newDealer(all []Candidate) *dealer {
	d := &dealer{}
	for _, c := range all {
		if c.Healthy {
			d.drives = append(d.drives, c)
		}
	}
	slices.SortFunc(d.drives, func(a, b Candidate) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	n := len(d.drives)
	d.zone, d.node = make([]int32, n), make([]int32, n)
	d.load, d.leads, d.scores = make([]int, n), make([]int, n), make([]uint64, n)
	for i := range d.drives {
		d.zones, d.zone[i] = slot(d.zones, d.drives, i, sameZone)
		d.nodes, d.node[i] = slot(d.nodes, d.drives, i, sameNode)
	}
	d.nodeLeads = make([]int, len(d.nodes))
	return d
}

func (d *dealer) deal(group uint32, factor int) []id.Drive {
	n := len(d.drives)
	factor = max(0, min(factor, n))
	if factor == 0 {
		return nil
	}
	for i := range d.drives {
		d.scores[i] = groupScore(group, d.drives[i].ID)
	}
	for i := range d.zones {
		d.zones[i].shards = 0
	}
	for i := range d.nodes {
		d.nodes[i].shards = 0
	}
	d.left = round - int(group)%round
	d.share = (int(group) + d.left) * factor // to the end of the round, by all drives together
	taken := make([]int, 0, factor)
	for range factor {
		best := -1
		for i := range d.drives {
			if !slices.Contains(taken, i) && (best < 0 || d.before(i, best)) {
				best = i
			}
		}
		taken = append(taken, best)
		d.zones[d.zone[best]].shards++
		d.nodes[d.node[best]].shards++
		d.load[best]++
	}
	d.lead(taken)
	out := make([]id.Drive, factor)
	for k, i := range taken {
		out[k] = d.drives[i].ID
	}
	return out
}

// before reports whether drive i takes the next replica rather than j.
func (d *dealer) before(i, j int) bool {
	if x, y := d.zones[d.zone[i]].shards, d.zones[d.zone[j]].shards; x != y {
		return x < y
	}
	if x, y := d.nodes[d.node[i]].shards, d.nodes[d.node[j]].shards; x != y {
		return x < y
	}
	if x, y := d.need(i), d.need(j); x != y {
		return x > y
	}
	if d.scores[i] != d.scores[j] {
		return d.scores[i] < d.scores[j]
	}
	return i < j
}

// need is 1 if a drive must be in every group left of the round to come to its share, -1 if it has
// that already, else 0.
func (d *dealer) need(i int) int {
	switch n := len(d.drives); {
	case d.load[i]*n >= d.share:
		return -1
	case d.load[i]+d.left <= d.share/n:
		return 1
	}
	return 0
}

// lead moves the drive to the front that should lead: on the node that leads least so far, then the one
// that leads least itself.
func (d *dealer) lead(taken []int) {
	best := 0
	for k := range taken {
		i, j := taken[k], taken[best]
		x, y := d.nodeLeads[d.node[i]], d.nodeLeads[d.node[j]]
		if x < y || x == y && d.leads[i] < d.leads[j] {
			best = k
		}
	}
	leader := taken[best]
	copy(taken[1:best+1], taken[:best])
	taken[0] = leader
	d.leads[leader]++
	d.nodeLeads[d.node[leader]]++
}

// groupScore is a random number fixed by group and drive.
func groupScore(group uint32, drive id.Drive) uint64 {
	var name [4 + id.Size]byte
	binary.BigEndian.PutUint32(name[:4], group)
	copy(name[4:], drive[:])
	return xxh3.Hash(name[:])
}
