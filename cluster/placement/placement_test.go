package placement

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"holdfast/internal/id"
)

func dataID(n int) id.Data {
	var d id.Data
	binary.BigEndian.PutUint64(d[8:], uint64(n)*0x9E3779B97F4A7C15)
	return d
}

// cluster makes zones of nodes of drives, all of weight 1.
func cluster(zones, nodes, drives int) []Candidate {
	var all []Candidate
	for z := range zones {
		for n := range nodes {
			for d := range drives {
				all = append(all, Candidate{
					ID: id.Drive{byte(z + 1), byte(n + 1), byte(d + 1)}, Zone: fmt.Sprint("zone", z),
					Node: id.Node{byte(z + 1), byte(n + 1)}, Weight: 1, Healthy: true,
				})
			}
		}
	}
	return all
}

func counts(drives []Candidate, ids, n int) map[id.Drive]int {
	c := map[id.Drive]int{}
	for i := range ids {
		chosen, _ := Choose(drives, dataID(i), n)
		for _, d := range chosen {
			c[d]++
		}
	}
	return c
}

func TestShardsFollowTheWeights(t *testing.T) {
	const ids = 40_000
	drives := cluster(1, 1, 20)
	total := 0.0
	for i := range drives {
		drives[i].Weight = float64(1 + i%3) // 1, 2 and 3 TB
		total += drives[i].Weight
	}
	// One shard an ID: exactly proportional. More shards an ID: no drive takes two of one, so
	// heavy drives fall a little short; equal ones stay equal.
	for d, n := range counts(drives, ids, 1) {
		i := slices.IndexFunc(drives, func(c Candidate) bool { return c.ID == d })
		want := ids * drives[i].Weight / total
		if math.Abs(float64(n)-want) > 5*math.Sqrt(want) {
			t.Errorf("a drive of weight %v got %d shards, want %.0f", drives[i].Weight, n, want)
		}
	}
	for i := range drives {
		drives[i].Weight = 7
	}
	for d, n := range counts(drives, ids, 6) {
		if want := float64(ids) * 6 / 20; math.Abs(float64(n)-want) > 0.03*want {
			t.Errorf("drive %s got %d shards, want %.0f", d, n, want)
		}
	}
}

func TestEqualZonesAreFilledEqually(t *testing.T) {
	for _, c := range [][]Candidate{cluster(3, 2, 2), cluster(1, 4, 2), cluster(4, 1, 3), cluster(1, 1, 6)} {
		const ids = 20_000
		n := min(6, len(c))
		for d, got := range counts(c, ids, n) {
			if want := float64(ids*n) / float64(len(c)); math.Abs(float64(got)-want) > 0.04*want {
				t.Errorf("%d drives: drive %s got %d shards, want %.0f", len(c), d, got, want)
			}
		}
	}
}

// TestShardsSpreadOverZonesThenNodesThenDrives: the numbers in any two domains differ by at most one
// as long as neither has run out of drives, and no drive gets two.
func TestShardsSpreadOverZonesThenNodesThenDrives(t *testing.T) {
	for _, c := range []struct{ zones, nodes, drives, n int }{
		{3, 3, 2, 6}, {2, 2, 4, 6}, {1, 4, 2, 8}, {6, 1, 1, 6}, {4, 2, 2, 10}, {1, 1, 8, 6}, {3, 1, 4, 12}, {2, 3, 2, 12},
	} {
		drives := cluster(c.zones, c.nodes, c.drives)
		for i := range 500 {
			chosen, spares := Choose(drives, dataID(i), c.n)
			seen := map[id.Drive]bool{}
			zones, nodes := map[byte]int{}, map[[2]byte]int{}
			for _, d := range chosen {
				zones[d[0]]++
				nodes[[2]byte{d[0], d[1]}]++
			}
			for _, d := range slices.Concat(chosen, spares) {
				if d.IsZero() || seen[d] {
					t.Fatalf("%+v: %v, %v", c, chosen, spares)
				}
				seen[d] = true
			}
			if lo, hi := c.n/c.zones, (c.n+c.zones-1)/c.zones; len(zones) != min(c.n, c.zones) || !within(zones, lo, hi) {
				t.Fatalf("%+v: zones %v", c, zones)
			}
			perZone := (c.n + c.zones - 1) / c.zones
			if !within(nodes, 1, (perZone+c.nodes-1)/c.nodes) {
				t.Fatalf("%+v: nodes %v", c, nodes)
			}
		}
	}
}

func within[K comparable](m map[K]int, lo, hi int) bool {
	for _, n := range m {
		if n < lo || n > hi {
			return false
		}
	}
	return true
}

// TestUnevenZonesAreUsedAsFarAsTheyGo: a zone with few drives gives all of them.
func TestUnevenZonesAreUsedAsFarAsTheyGo(t *testing.T) {
	drives := append(cluster(1, 5, 2), Candidate{ID: id.Drive{9, 1, 1}, Zone: "small", Node: id.Node{9}, Weight: 0.1, Healthy: true})
	for i := range 200 {
		chosen, _ := Choose(drives, dataID(i), 6)
		if !slices.Contains(chosen, id.Drive{9, 1, 1}) || slices.Contains(chosen, id.Drive{}) {
			t.Fatal(chosen)
		}
	}
}

func TestUnfitDrivesAreNotChosen(t *testing.T) {
	drives := cluster(1, 3, 2)
	drives[0].Healthy = false
	drives[3].Weight = 0
	drives[4].Weight = math.NaN()
	for i := range 200 {
		chosen, spares := Choose(drives, dataID(i), 5)
		fit := 0
		for _, d := range append(chosen, spares...) {
			if !d.IsZero() {
				fit++
			}
			if d == drives[0].ID || d == drives[3].ID || d == drives[4].ID {
				t.Fatalf("%s was chosen", d)
			}
		}
		if len(chosen) != 5 || fit != 3 || !chosen[3].IsZero() || !chosen[4].IsZero() || len(spares) != 0 {
			t.Fatalf("chosen %v, spares %v", chosen, spares)
		}
	}
	for _, n := range []int{0, -1} {
		if chosen, spares := Choose(drives, dataID(1), n); chosen != nil || spares != nil {
			t.Error("something was chosen for nothing")
		}
	}
	if chosen, spares := Choose(nil, dataID(1), 3); len(chosen) != 3 || len(spares) != 0 {
		t.Error("nothing to choose from")
	}
}

// TestTheOrderOfCandidatesDoesNotMatter: fronts learn of drives in different orders.
func TestTheOrderOfCandidatesDoesNotMatter(t *testing.T) {
	drives := cluster(3, 3, 3)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 300 {
		want, wantSpares := Choose(drives, dataID(i), 6)
		shuffled := slices.Clone(drives)
		rng.Shuffle(len(shuffled), func(a, b int) { shuffled[a], shuffled[b] = shuffled[b], shuffled[a] })
		got, gotSpares := Choose(shuffled, dataID(i), 6)
		if !slices.Equal(got, want) || !slices.Equal(gotSpares, wantSpares) {
			t.Fatalf("%v, %v", got, want)
		}
	}
}

// moved counts the shards that are on another set of drives, in a share of all.
func moved(before, after []Candidate, n int) float64 {
	const ids = 5000
	sum := 0
	for i := range ids {
		a, _ := Choose(before, dataID(i), n)
		b, _ := Choose(after, dataID(i), n)
		for _, d := range b {
			if !slices.Contains(a, d) {
				sum++
			}
		}
	}
	return float64(sum) / (ids * float64(n))
}

// TestLittleMovesWhenADriveComesOrGoes. With one zone and one node the minimum is met: what the new
// drive gets, what the old one had. With zones the spread may force a second shard to move.
func TestLittleMovesWhenADriveComesOrGoes(t *testing.T) {
	for _, c := range []struct {
		zones, nodes, drives int
		slack                float64
	}{{1, 1, 10, 1.1}, {1, 10, 1, 1.1}, {5, 1, 2, 1.5}, {3, 2, 2, 1.5}, {1, 4, 3, 1.5}} {
		all := cluster(c.zones, c.nodes, c.drives)
		for _, victim := range []int{0, len(all) / 2, len(all) - 1} {
			fewer := slices.Delete(slices.Clone(all), victim, victim+1)
			share := 1 / float64(len(all))
			if got := moved(all, fewer, 5); got > c.slack*share || got < 0.7*share {
				t.Errorf("%+v: %.3f of the shards move when drive %d of %d goes, want %.3f", c, got, victim, len(all), share)
			}
			if got := moved(fewer, all, 5); got > c.slack*share || got < 0.7*share {
				t.Errorf("%+v: %.3f of the shards move when a drive comes to %d, want %.3f", c, got, len(fewer), share)
			}
		}
	}
}

// TestASpareIsWhereTheShardWouldGo: with one failure domain, when a chosen drive is gone the first
// spare takes its place and the others stay.
func TestASpareIsWhereTheShardWouldGo(t *testing.T) {
	drives := cluster(1, 1, 12)
	for i := range 300 {
		chosen, spares := Choose(drives, dataID(i), 6)
		if len(spares) != MaxSpares {
			t.Fatal(spares)
		}
		without := slices.DeleteFunc(slices.Clone(drives), func(c Candidate) bool { return c.ID == chosen[2] })
		next, _ := Choose(without, dataID(i), 6)
		want := slices.Concat(chosen[:2], chosen[3:], spares[:1])
		if !slices.Equal(next, want) {
			t.Fatalf("%v, want %v", next, want)
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	for _, c := range [][]Candidate{cluster(1, 1, 6), cluster(4, 4, 4), cluster(8, 16, 8)} {
		b.Run(fmt.Sprint(len(c)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Choose(c, dataID(b.N), 6)
			}
		})
	}
}
