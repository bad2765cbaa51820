package placement

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"holdfast/internal/id"
)

const testGroups = 17

// shuffledCluster has random IDs, as real ones are.
func shuffledCluster(rng *rand.Rand, zones, nodes, drives int) []Candidate {
	all := cluster(zones, nodes, drives)
	for i := range all {
		for j := range all[i].ID {
			all[i].ID[j] = byte(rng.Uint32())
		}
	}
	return all
}

func loads(plan [][]id.Drive) map[id.Drive]int {
	n := map[id.Drive]int{}
	for _, drives := range plan {
		for _, d := range drives {
			n[d]++
		}
	}
	return n
}

// arrivals counts the replicas that are on a drive of which the plan before had none of the group.
func arrivals(before, after [][]id.Drive) (n int) {
	for g := range after {
		for _, d := range after[g] {
			if !slices.Contains(before[g], d) {
				n++
			}
		}
	}
	return n
}

type shape struct{ zones, nodes, drives, factor int }

func shapes() []shape {
	return []shape{{1, 4, 1, 3}, {1, 6, 1, 5}, {1, 4, 2, 7}, {1, 3, 4, 9}, {1, 1, 6, 5}, {3, 2, 2, 5}, {1, 8, 4, 5}, {2, 3, 2, 5}}
}

func TestReplicasSpreadOverZonesThenNodesThenDrives(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range shapes() {
		drives := shuffledCluster(rng, s.zones, s.nodes, s.drives)
		at := map[id.Drive]Candidate{}
		for _, c := range drives {
			at[c.ID] = c
		}
		for g, replicas := range ReplicaPlan(drives, 3*testGroups, s.factor) {
			zones, nodes, seen := map[string]int{}, map[id.Node]int{}, map[id.Drive]bool{}
			for _, d := range replicas {
				zones[at[d].Zone]++
				nodes[at[d].Node]++
				seen[d] = true
			}
			perZone := (s.factor + s.zones - 1) / s.zones
			if len(seen) != s.factor || !within(zones, s.factor/s.zones, perZone) || !within(nodes, 1, (perZone+s.nodes-1)/s.nodes) {
				t.Fatalf("%+v: group %d: %v: zones %v, nodes %v", s, g, replicas, zones, nodes)
			}
		}
	}
}

// TestReplicasAreSharedEqually: no drive is further from its share than the spread over
// nodes forces it to be, and no node leads more than one group above its share.
func TestReplicasAreSharedEqually(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, s := range shapes() {
		for range 20 {
			drives := shuffledCluster(rng, s.zones, s.nodes, s.drives)
			plan := ReplicaPlan(drives, testGroups, s.factor)
			share := float64(testGroups*s.factor) / float64(len(drives))
			n := loads(plan)
			for _, c := range drives {
				if got := float64(n[c.ID]); got > share+4 || got < share-4 {
					t.Errorf("%+v: a drive has %v replicas, its share is %.1f", s, got, share)
				}
			}
			leads := map[id.Node]int{}
			for _, replicas := range plan {
				leads[nodeOf(drives, replicas[0])]++
			}
			nodes := s.zones * s.nodes
			if !within(leads, min(1, testGroups/nodes-1), (testGroups+nodes-1)/nodes+1) || nodes <= 6 && len(leads) < nodes {
				t.Errorf("%+v: %d nodes lead %v of %d groups", s, nodes, leads, testGroups)
			}
		}
	}
}

func nodeOf(drives []Candidate, d id.Drive) id.Node {
	return drives[slices.IndexFunc(drives, func(c Candidate) bool { return c.ID == d })].Node
}

// TestFewReplicasMoveWhenDrivesComeOrGo: against the least that the new shares allow.
func TestFewReplicasMoveWhenDrivesComeOrGo(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, s := range shapes() {
		joined, least, left, lost := 0, 0, 0, 0
		for range 20 {
			all := shuffledCluster(rng, s.zones, s.nodes+1, s.drives)
			last := all[len(all)-1].Node
			fewer := slices.DeleteFunc(slices.Clone(all), func(c Candidate) bool { return c.Node == last })
			before, after := ReplicaPlan(fewer, testGroups, s.factor), ReplicaPlan(all, testGroups, s.factor)
			joined += arrivals(before, after)
			was := loads(before)
			for d, n := range loads(after) {
				least += max(0, n-was[d])
			}
			without := slices.Delete(slices.Clone(all), 0, 1)
			left += arrivals(after, ReplicaPlan(without, testGroups, s.factor))
			lost += loads(after)[all[0].ID]
		}
		t.Logf("%+v: a node joins: %.2f of the least moves; a drive goes: %.2f", s, float64(joined)/float64(least), float64(left)/float64(lost))
		if float64(joined) > 2*float64(least) || float64(left) > 2.5*float64(lost) {
			t.Errorf("%+v: a node joins: %d replicas move, %d had to; a drive goes: %d move, it had %d", s, joined, least, left, lost)
		}
	}
}

func TestReplicasDependOnNothingButTheDrives(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	drives := shuffledCluster(rng, 2, 3, 2)
	want := ReplicaPlan(drives, 2*testGroups, 5)
	for range 20 {
		rng.Shuffle(len(drives), func(a, b int) { drives[a], drives[b] = drives[b], drives[a] })
		for g := range want {
			if got := Replicas(drives, uint32(g), 5); !slices.Equal(got, want[g]) {
				t.Fatalf("group %d: %v, want %v", g, got, want[g])
			}
		}
	}
	drives[3].Healthy = false
	for g, replicas := range ReplicaPlan(drives, testGroups, 12) {
		if len(replicas) != 11 || slices.Contains(replicas, drives[3].ID) {
			t.Fatalf("group %d: %v", g, replicas)
		}
	}
	if got := Replicas(nil, 3, 5); len(got) != 0 {
		t.Error("replicas on no drives")
	}
}

func BenchmarkReplicaPlan(b *testing.B) {
	for _, c := range [][]Candidate{cluster(1, 4, 2), cluster(8, 16, 8)} {
		b.Run(fmt.Sprint(len(c)), func(b *testing.B) {
			for b.Loop() {
				ReplicaPlan(c, testGroups, 5)
			}
		})
	}
}
