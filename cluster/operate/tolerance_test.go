package operate

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"holdfast/cluster"
	"holdfast/cluster/placement"
	"holdfast/cluster/upkeep"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

func pair(reads, writes int) Tolerance { return Tolerance{Reads: reads, Writes: writes} }

func tolerances(t *testing.T, w *world, queued bool) MayFail {
	t.Helper()
	return w.operator(nil).seen(t.Context()).mayFail(queued)
}

func TestWhatMayFailIsCountedAsTheSchemesPromise(t *testing.T) {
	for _, c := range []struct {
		name     string
		scheme   erasure.Scheme
		perNode  []int
		replicas int
		zones    []string
		kill     []id.Drive
		queued   bool
		drives   Tolerance
		nodes    *Tolerance
		zone     *Tolerance
	}{
		{name: "one drive", scheme: erasure.Scheme{K: 1}, perNode: []int{1}, replicas: 1, drives: pair(0, 0)},
		{name: "six drives of one node", scheme: erasure.Scheme{K: 4, M: 2}, perNode: []int{6}, replicas: 5, drives: pair(2, 1)},
		{name: "four nodes", scheme: erasure.Scheme{K: 2, M: 2}, perNode: []int{1, 1, 1, 1}, replicas: 3, drives: pair(1, 1), nodes: new(pair(1, 1))},
		{name: "four nodes of two drives", scheme: erasure.Scheme{K: 5, M: 3}, perNode: []int{2, 2, 2, 2}, replicas: 7, drives: pair(3, 2), nodes: new(pair(1, 1))},
		{name: "four nodes of two drives, and fronts", scheme: erasure.Scheme{K: 5, M: 3}, perNode: []int{2, 2, 2, 2, 0, 0}, replicas: 7, drives: pair(3, 2), nodes: new(pair(1, 1))},
		{name: "one of them dead", scheme: erasure.Scheme{K: 5, M: 3}, perNode: []int{2, 2, 2, 2}, replicas: 7, kill: []id.Drive{driveID(2, 0), driveID(2, 1)}, drives: pair(1, 0), nodes: new(pair(0, 0))},
		{name: "data waits for repair", scheme: erasure.Scheme{K: 4, M: 2}, perNode: []int{6}, replicas: 5, queued: true, drives: pair(1, 1)},
		{name: "too many dead", scheme: erasure.Scheme{K: 4, M: 2}, perNode: []int{6}, replicas: 5, kill: []id.Drive{driveID(0, 0), driveID(0, 1), driveID(0, 2)}, drives: pair(-1, -1)},
		{name: "three zones of two nodes", scheme: erasure.Scheme{K: 4, M: 2}, perNode: []int{1, 1, 1, 1, 1, 1}, replicas: 5, zones: []string{"x", "y", "z"}, drives: pair(2, 1), nodes: new(pair(2, 1)), zone: new(pair(1, 0))},
		{name: "a spare drive a node", scheme: erasure.Scheme{K: 2, M: 2}, perNode: []int{2, 2, 2, 2}, replicas: 3, drives: pair(1, 1), nodes: new(pair(1, 1))},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.scheme, c.perNode, c.zones...)
			w.elect(c.replicas)
			w.kill(c.kill...)
			got := tolerances(t, w, c.queued)
			for what, both := range map[string][2]*Tolerance{"drives": {&got.Drives, &c.drives}, "nodes": {got.Nodes, c.nodes}, "zones": {got.Zones, c.zone}} {
				if (both[0] == nil) != (both[1] == nil) || both[0] != nil && *both[0] != *both[1] {
					t.Errorf("%s: %+v, want %+v", what, both[0], both[1])
				}
			}
		})
	}
}

func TestAGroupWithoutALeaderToleratesNothing(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{1, 1, 1, 1})
	w.status[2] = replica.GroupStatus{Group: 2}
	if got := tolerances(t, w, false); got.Drives != pair(-1, -1) {
		t.Errorf("%+v", got.Drives)
	}
}

// TestWhatMayFailReallyMay kills every set of that many drives, nodes and zones of random clusters, and looks
// whether every piece of data that placement would make has k shards, and every group a majority.
func TestWhatMayFailReallyMay(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			w, all := randomWorld(t, rng)
			placed := sample(w, 60)
			for range rng.IntN(3) { // some are away already
				w.kill(all[rng.IntN(len(all))])
			}
			may := tolerances(t, w, false)
			p := w.operator(nil).seen(t.Context())
			for what, c := range map[string]struct {
				of unit
				t  *Tolerance
			}{"drive": {driveUnit, &may.Drives}, "node": {nodeUnit, may.Nodes}, "zone": {zoneUnit, may.Zones}} {
				if c.t == nil {
					continue
				}
				checkSets(t, p, placed, what, c.of, *c.t)
			}
		})
	}
}

func randomWorld(t *testing.T, rng *rand.Rand) (*world, []id.Drive) {
	perNode := make([]int, 1+rng.IntN(6))
	total := 0
	for i := range perNode {
		perNode[i] = 1 + rng.IntN(3)
		total += perNode[i]
	}
	for total < 4 {
		perNode[0]++
		total++
	}
	n := 4 + rng.IntN(total-3)
	m := 1 + rng.IntN(n/2)
	var zones []string
	if rng.IntN(2) == 0 {
		zones = []string{"x", "y", "z"}
	}
	w := newWorld(t, erasure.Scheme{K: n - m, M: m}, perNode, zones...)
	w.elect(replica.ReplicationFactor(total, m))
	var all []id.Drive
	for n, drives := range perNode {
		for d := range drives {
			all = append(all, driveID(n, d))
		}
	}
	return w, all
}

// sample is where placement puts pieces of data while all drives are there.
func sample(w *world, pieces int) (all [][]id.Drive) {
	v := w.View()
	for n := range pieces {
		var data id.Data
		binary.BigEndian.PutUint64(data[4:], uint64(n)*0x9E3779B97F4A7C15)
		drives, _ := placement.Choose(v.Candidates(), data, v.Scheme.Shards())
		all = append(all, drives)
	}
	return all
}

// checkSets kills sets of units.
func checkSets(t *testing.T, p *picture, placed [][]id.Drive, what string, of unit, may Tolerance) {
	t.Helper()
	units := map[string][]id.Drive{}
	for _, d := range p.those(func(d *cluster.DriveView) bool { return p.Alive(d.ID) }) {
		units[of(d)] = append(units[of(d)], d.ID)
	}
	names := slices.Sorted(maps.Keys(units))
	for set := range 1 << len(names) {
		dead := map[id.Drive]bool{}
		size := 0
		for i, name := range names {
			if set>>i&1 == 1 {
				size++
				for _, d := range units[name] {
					dead[d] = true
				}
			}
		}
		gone := func(d id.Drive) bool { return dead[d] || !p.Alive(d) }
		if size <= may.Reads && !readable(p, placed, gone) {
			t.Fatalf("any %d %ss may fail for reads, but not %v (%s)", may.Reads, what, dead, p.View.Scheme)
		}
		if (size <= may.Reads || size <= may.Writes) && !led(p, gone) {
			t.Fatalf("any %d %ss may fail, but groups stop without %v", size, what, dead)
		}
		if size <= may.Writes {
			left := len(p.those(func(d *cluster.DriveView) bool { return !gone(d.ID) && p.Fate(d.ID) == upkeep.Stays }))
			if want := p.View.Scheme.K + min(1, p.View.Scheme.M); left < want {
				t.Fatalf("any %d %ss may fail for writes, but without %v there are %d drives and %d are needed", may.Writes, what, dead, left, want)
			}
		}
	}
}

func readable(p *picture, placed [][]id.Drive, gone func(id.Drive) bool) bool {
	for _, drives := range placed {
		left := 0
		for _, d := range drives {
			if !d.IsZero() && !gone(d) {
				left++
			}
		}
		if left < p.View.Scheme.K {
			return false
		}
	}
	return true
}

func led(p *picture, gone func(id.Drive) bool) bool {
	for i := range p.groups {
		left := 0
		for _, m := range p.groups[i].Members {
			if m.Active && !gone(m.Drive) {
				left++
			}
		}
		if left <= len(p.groups[i].Members)/2 {
			return false
		}
	}
	return true
}

func TestADriveThatWasGivenUpCountsUntilItIsRebuilt(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 4, M: 2}, []int{7})
	w.elect(5)
	o, d := w.operator(nil), driveID(0, 6)
	w.kill(d)
	w.vacate(d)
	if err := o.setDrive(t.Context(), d, false, metapb.Drive_GONE); err != nil {
		t.Fatal(err)
	}
	if got := tolerances(t, w, false); got.Drives.Reads != 1 {
		t.Errorf("while it is rebuilt: %+v", got.Drives)
	}
	if err := o.setDrive(t.Context(), d, false, metapb.Drive_RETIRED); err != nil {
		t.Fatal(err)
	}
	w.elect(5)
	if got := tolerances(t, w, false); got.Drives.Reads != 2 {
		t.Errorf("when it is: %+v", got.Drives)
	}
}

func TestShardsWithoutADriveAreMissing(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 4, M: 2}, []int{6})
	w.elect(5)
	if err := w.operator(nil).setDrive(t.Context(), driveID(0, 5), true, metapb.Drive_RETIRED); err != nil {
		t.Fatal(err)
	}
	w.elect(5)
	if got := tolerances(t, w, false); got.Drives.Reads != 1 {
		t.Errorf("five drives for six shards: %+v", got.Drives)
	}
}
