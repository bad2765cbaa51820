package placement

import (
	"math"

	"github.com/zeebo/xxh3"

	"holdfast/internal/id"
)

// MaxSpares bounds the spares of one choice: more drives than that failing while one object is
// written is an outage, not a case for another drive.
const MaxSpares = 4

// Candidate is a drive that could take a shard.
type Candidate struct {
	ID      id.Drive
	Zone    string
	Node    id.Node
	Weight  float64 // relative share of the data, such as its size; not positive: takes none
	Healthy bool    // alive, not draining, not full
}

// entry is a candidate while shards are dealt.
type entry struct {
	score      float64 // lower is better
	drive      int32   // index into the candidates
	zone, node int32   // index into the counts
}

// Choose deals n shards of data to drives, in shard order; where too few drives are healthy the
// last ones are zero. spares are the next ones, in order.
func Choose(drives []Candidate, data id.Data, n int) (chosen, spares []id.Drive) {
	if n <= 0 {
		return nil, nil
	}
	var (
		entryRoom    [32]entry
		zoneRoom     [32]count
		nodeRoom     [32]count
		entries      = entryRoom[:0]
		zones, nodes = zoneRoom[:0], nodeRoom[:0]
		picked       = make([]id.Drive, n, n+MaxSpares)
	)
	for i := range drives {
		c := &drives[i]
		if !c.Healthy || !(c.Weight > 0) {
			continue
		}
		e := entry{score: score(data, c.ID, c.Weight), drive: int32(i)}
		zones, e.zone = slot(zones, drives, i, sameZone)
		nodes, e.node = slot(nodes, drives, i, sameNode)
		entries = append(entries, e)
	}
	for i := 0; i < n+MaxSpares && len(entries) > 0; i++ {
		best := 0
		for j := 1; j < len(entries); j++ {
			if better(&entries[j], &entries[best], zones, nodes) {
				best = j
			}
		}
		e := entries[best]
		zones[e.zone].shards++
		nodes[e.node].shards++
		entries[best] = entries[len(entries)-1]
		entries = entries[:len(entries)-1]
		if i < n {
			picked[i] = drives[e.drive].ID
		} else {
			picked = append(picked, drives[e.drive].ID)
		}
	}
	return picked[:n:n], picked[n:]
}

// better reports whether a goes before b. That two scores are equal is as likely as that two random
// numbers of 53 bits are: position decides, so that at least one front answers the same each time.
func better(a, b *entry, zones, nodes []count) bool {
	if x, y := zones[a.zone].shards, zones[b.zone].shards; x != y {
		return x < y
	}
	if x, y := nodes[a.node].shards, nodes[b.node].shards; x != y {
		return x < y
	}
	if a.score != b.score {
		return a.score < b.score
	}
	return a.drive < b.drive
}

// score is an exponentially distributed number with the rate weight, fixed by data and drive.
func score(data id.Data, drive id.Drive, weight float64) float64 {
	var name [2 * id.Size]byte
	copy(name[:], data[:])
	copy(name[id.Size:], drive[:])
	// 53 bits and a half: never 0 and never 1, so the logarithm is finite and not zero.
	u := (float64(xxh3.Hash(name[:])>>11) + 0.5) / (1 << 53)
	return -math.Log(u) / weight
}

// count is how many shards a zone or node got; first is one of its candidates.
type count struct {
	first  int
	shards int
}

func sameZone(a, b *Candidate) bool { return a.Zone == b.Zone }
func sameNode(a, b *Candidate) bool { return a.Node == b.Node && a.Zone == b.Zone }

// slot finds the count of the zone or node of candidate i, or begins one.
func slot(seen []count, drives []Candidate, i int, same func(a, b *Candidate) bool) ([]count, int32) {
	// Candidates of a node usually come one after the other: look at the latest first.
	for s := len(seen) - 1; s >= 0; s-- {
		if same(&drives[seen[s].first], &drives[i]) {
			return seen, int32(s)
		}
	}
	return append(seen, count{first: i}), int32(len(seen))
}
