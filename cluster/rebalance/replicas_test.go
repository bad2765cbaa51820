package rebalance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/cluster"
	"holdfast/cluster/placement"
	"holdfast/cluster/upkeep"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

// replicas are the members of all groups, as those see them that lead them.
type replicas struct {
	mu      sync.Mutex
	t       *testing.T
	members [][]id.Drive
	ill     map[uint32]bool
	moving  map[uint32]bool
	learner map[uint32]id.Drive // of moves that were begun
	moves   int
	begun   int // with a learner that was not there
	gaveUp  int
	took    time.Duration
	fail    error
}

// newReplicas begins as a cluster of drives begins: rotated.
func newReplicas(t *testing.T, groups, factor int, drives []id.Drive) *replicas {
	r := &replicas{t: t, ill: map[uint32]bool{}, moving: map[uint32]bool{}, learner: map[uint32]id.Drive{}, took: 3 * time.Second}
	for g := range groups {
		var members []id.Drive
		for k := range factor {
			members = append(members, drives[(g+k)%len(drives)])
		}
		r.members = append(r.members, members)
	}
	return r
}

func (r *replicas) all(context.Context) map[uint32][]id.Drive {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[uint32][]id.Drive{}
	for g, members := range r.members {
		all[uint32(g)] = slices.Clone(members)
		if d, ok := r.learner[uint32(g)]; ok {
			all[uint32(g)] = append(all[uint32(g)], d)
		}
	}
	return all
}

// count is how many moves there were.
func (r *replicas) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.moves
}

func (r *replicas) counts() map[id.Drive]int {
	n := map[id.Drive]int{}
	for _, members := range r.all(context.Background()) {
		for _, d := range members {
			n[d]++
		}
	}
	return n
}

// at is what one node sees, which leads the groups of which led holds.
type at struct {
	*replicas
	led func(uint32) bool
}

func (a at) Leads(g uint32) bool { return a.led(g) }

func (a at) Status(context.Context) replica.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	var s replica.Status
	for g, members := range a.members {
		st := replica.GroupStatus{Group: uint32(g)}
		if a.led(uint32(g)) {
			for i, d := range members {
				st.Members = append(st.Members, replica.MemberStatus{RaftID: uint64(i + 1), Drive: d, Voter: true, Active: !a.ill[uint32(g)] || i > 0})
			}
			if d, ok := a.learner[uint32(g)]; ok {
				st.Members = append(st.Members, replica.MemberStatus{RaftID: 100, Drive: d})
			}
		}
		s.Groups = append(s.Groups, st)
	}
	return s
}

func (a at) MoveReplica(_ context.Context, g uint32, from, to id.Drive) error {
	a.mu.Lock()
	i := slices.Index(a.members[g], from)
	if !a.led(g) || a.moving[g] || a.ill[g] || i < 0 || slices.Contains(a.members[g], to) {
		a.t.Errorf("group %d: a move from %s to %s, moving %t, ill %t", g, from, to, a.moving[g], a.ill[g])
	}
	a.moving[g] = true
	a.moves++
	if a.learner[g] != to {
		a.learner[g] = to
		a.begun++
	}
	a.mu.Unlock()
	for begin := time.Now(); time.Since(begin) < a.took && a.led(g); { // a snapshot
		time.Sleep(100 * time.Millisecond)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.moving[g] = false
	switch {
	case !a.led(g): // another leader came in the middle, and finds the learner
		return replica.ErrNotLeader
	case a.fail != nil:
		delete(a.learner, g)
		return a.fail
	}
	delete(a.learner, g)
	a.members[g][i] = to
	return nil
}

func (a at) AbandonMove(_ context.Context, g uint32) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.led(g) || a.moving[g] {
		a.t.Errorf("group %d: a move is given up, moving %t", g, a.moving[g])
	}
	delete(a.learner, g)
	a.gaveUp++
	return nil
}

func (w *world) names() (names []id.Drive) {
	for _, d := range w.layout.View().Drives {
		names = append(names, d.ID)
	}
	return names
}

// manyGroups gives the metadata as many groups as a cluster has; none has data.
type manyGroups struct{ upkeep.Metadata }

func (manyGroups) Groups() uint32 { return 16 }
func (m manyGroups) Ask(ctx context.Context, _ uint32, q *metapb.Query) (*metapb.Answer, error) {
	return m.Metadata.Ask(ctx, 1, q)
}

// leaders starts a Rebalancer on each of n nodes, which lead every n-th group.
func (w *world) leaders(r *replicas, n int) (all []*Rebalancer, stop func()) {
	var stops []func()
	for i := range n {
		cfg := w.config()
		cfg.Metadata, cfg.Poll = manyGroups{w.meta}, 10*time.Second
		cfg.Groups, cfg.Members = at{r, func(g uint32) bool { return int(g)%n == i }}, r.all
		b, stop := w.start(cfg)
		all, stops = append(all, b), append(stops, stop)
	}
	return all, func() {
		for _, stop := range stops {
			stop()
		}
	}
}

func spreadOfCounts(counts map[id.Drive]int, drives []id.Drive) (lo, hi int) {
	lo, hi = 1<<30, 0
	for _, d := range drives {
		lo, hi = min(lo, counts[d]), max(hi, counts[d])
	}
	return lo, hi
}

// TestReplicasLevelWhenANodeJoins: with little more moves than the new drives have in the end; and then
// they rest, however long one waits. Nothing moves in a cluster as it begins.
func TestReplicasLevelWhenANodeJoins(t *testing.T) {
	for _, c := range []struct {
		nodes, drives, factor int
		planned               bool // they begin as placement would have it, not rotated
	}{{4, 1, 3, false}, {4, 1, 3, true}, {4, 2, 7, false}, {4, 2, 7, true}, {6, 1, 5, false}, {8, 4, 5, true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, erasure.Scheme{K: 2, M: 2}, c.nodes, c.drives)
			r := newReplicas(t, 17, c.factor, w.spreadNames(c.nodes))
			if c.planned {
				f := upkeep.NewFleet(w.layout.View())
				r.members = placement.ReplicaPlan(f.Candidates(f.Takes), 17, c.factor)
			}
			_, stop := w.leaders(r, c.nodes)
			defer stop()
			time.Sleep(time.Hour)
			if n := r.count(); n > 0 {
				t.Errorf("%+v: %d moves in a cluster that is level", c, n)
			}
			joined := w.addNode(c.drives)
			time.Sleep(2 * time.Hour)
			counts, arrived, moves := r.counts(), 0, r.count()
			for _, d := range joined {
				arrived += counts[d]
			}
			share := float64(17*c.factor) / float64(c.nodes+1)
			lo, hi := spreadOfCounts(counts, w.names())
			t.Logf("%+v: %d moves, the new node has %d replicas, its share is %.1f; the drives have %d to %d", c, moves, arrived, share, lo, hi)
			if float64(arrived) < share-1.5*float64(c.drives) || moves > arrived+arrived/2+2 {
				t.Errorf("%+v: %d moves, the new node has %d replicas, its share is %.1f", c, moves, arrived, share)
			}
			time.Sleep(6 * time.Hour)
			if n := r.count(); n != moves {
				t.Errorf("%+v: %d more moves in six hours", c, n-moves)
			}
		})
	}
}

// spreadNames are the drives in an order in which neighbours are on other nodes.
func (w *world) spreadNames(nodes int) (names []id.Drive) {
	all := w.names()
	per := len(all) / nodes
	for k := range per {
		for n := range nodes {
			names = append(names, all[n*per+k])
		}
	}
	return names
}

// TestReplicasLeaveANodeThatIsDrained: and the drives are retired after that and not before.
func TestReplicasLeaveANodeThatIsDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, erasure.Scheme{K: 2, M: 2}, 5, 2)
		r := newReplicas(t, 17, 5, w.spreadNames(5))
		nodes, stop := w.leaders(r, 5)
		defer stop()
		w.layout.change(func(v *cluster.View) { v.Nodes[2].State = metapb.Node_DRAINING })
		drained := []id.Drive{w.names()[4], w.names()[5]}
		need := r.counts()[drained[0]] + r.counts()[drained[1]]
		w.until("it moves", func() bool { return r.count() > 0 })
		w.until("Progress counts what is left", func() bool {
			n := int64(0)
			for _, b := range nodes {
				n += b.Progress().Drives[drained[0]].Replicas
			}
			return n > 0
		})
		w.until("retired", func() bool {
			retired := w.record(drained[0]).State == metapb.Drive_RETIRED
			if retired && r.counts()[drained[0]] > 0 {
				t.Fatal("retired with replicas on it")
			}
			return retired && w.record(drained[1]).State == metapb.Drive_RETIRED
		})
		if n := r.count(); n < need || n > need+4 { // a few more, to level
			t.Errorf("%d moves, %d replicas had to", n, need)
		}
	})
}

// TestAGroupThatIsNotWholeLosesNoMember: and a move that fails is tried again.
func TestAGroupThatIsNotWholeLosesNoMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, erasure.Scheme{K: 2, M: 2}, 5, 1)
		r := newReplicas(t, 17, 3, w.names())
		r.ill[4], r.ill[0] = true, true
		before := r.all(t.Context())
		_, stop := w.leaders(r, 2)
		defer stop()
		w.layout.set(w.names()[0], func(d *cluster.DriveView) { d.State = metapb.Drive_DRAINING })
		time.Sleep(time.Hour)
		for g, members := range r.all(t.Context()) {
			if r.ill[g] && !slices.Equal(members, before[g]) || !r.ill[g] && slices.Contains(members, w.names()[0]) {
				t.Errorf("group %d: %v, it had %v", g, members, before[g])
			}
		}
		r.mu.Lock()
		clear(r.ill)
		r.fail = errors.New("no majority")
		r.mu.Unlock()
		time.Sleep(time.Minute)
		r.mu.Lock()
		r.fail = nil
		r.mu.Unlock()
		w.until("empty", func() bool { return r.counts()[w.names()[0]] == 0 })
	})
}

// TestReplicasFollowTheSpread: when zones appear that the replicas do not use, they move although the
// drives are level.
func TestReplicasFollowTheSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, erasure.Scheme{K: 2, M: 2}, 6, 1)
		r := newReplicas(t, 17, 3, w.names())
		w.layout.change(func(v *cluster.View) {
			for i := range v.Drives {
				v.Drives[i].Zone = fmt.Sprint("rack", i/2)
			}
		})
		_, stop := w.leaders(r, 3)
		defer stop()
		time.Sleep(3 * time.Hour)
		f := upkeep.NewFleet(w.layout.View())
		for g, members := range r.all(t.Context()) {
			zones := map[string]bool{}
			for _, d := range members {
				zones[f.Drive(d).Zone] = true
			}
			if len(zones) != 3 {
				t.Errorf("group %d is in %d zones of 3", g, len(zones))
			}
		}
	})
}

// TestAReplicaNeverMovesCloserToTheOthers, unless it must leave its drive; nor onto a drive that has one or
// takes none.
func TestAReplicaNeverMovesCloserToTheOthers(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, 5, 3)
	chosen := 0
	for range 3000 {
		w.layout.change(func(v *cluster.View) {
			for i := range v.Drives {
				v.Drives[i].Alive = rng.IntN(6) > 0
				v.Drives[i].Zone = fmt.Sprint(v.Drives[i].Node[0] % 3)
			}
		})
		f := upkeep.NewFleet(w.layout.View())
		names := w.names()
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		g := replica.GroupStatus{Group: uint32(rng.IntN(17))}
		counts := map[id.Drive]int{}
		for i, d := range names {
			if counts[d] = rng.IntN(12); i < 5 {
				g.Members = append(g.Members, replica.MemberStatus{Drive: d, Voter: true, Active: true})
			}
		}
		from, to := moveOf(f, &g, &spread{counts, true}, freshGain, f.Takes)
		if from.IsZero() {
			continue
		}
		chosen++
		members := slices.Clone(names[:5])
		dist := distances(f.Candidates(func(id.Drive) bool { return true }))
		before := dist(members)
		if i := slices.Index(members, from); i < 0 || slices.Contains(members, to) || !f.Takes(to) {
			t.Fatalf("from %s to %s", from, to)
		} else {
			members[i] = to
		}
		if after := dist(members); after > before || after == before && counts[from]-counts[to] < 2 {
			t.Fatalf("from %s to %s: crowding %d, it was %d; %d and %d replicas", from, to, after, before, counts[from], counts[to])
		}
	}
	if chosen < 500 {
		t.Errorf("%d moves", chosen)
	}
}

// TestAPlanIsSoundWhateverTheDrives: for random clusters and records a move never goes to a drive that has
// a shard of the data, or takes none; carried out, nothing is left that could be moved.
func TestAPlanIsSoundWhateverTheDrives(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	w := newWorld(t, erasure.Scheme{K: 4, M: 2}, 5, 3)
	w.fill(20, 20_000)
	refs := w.refs()
	for range 2000 {
		w.layout.change(func(v *cluster.View) {
			for i := range v.Drives {
				d := &v.Drives[i]
				d.State = []metapb.Drive_State{0, 0, 0, 0, metapb.Drive_DRAINING, metapb.Drive_GONE}[rng.IntN(6)]
				d.Alive, d.Status.ReadOnly = rng.IntN(5) > 0, rng.IntN(8) == 0
				d.Zone = fmt.Sprint(rng.IntN(3))
			}
		})
		f := upkeep.NewFleet(w.layout.View())
		p := newPlanner(f, f.Takes)
		ref := refs[rng.IntN(len(refs))]
		ref.Drives = slices.Clone(ref.Drives)
		for i := range ref.Drives { // from wherever shards were put at some time
			for d := w.names()[rng.IntN(15)]; ; d = w.names()[rng.IntN(15)] {
				if !slices.Contains(ref.Drives[:i], d) {
					ref.Drives[i] = d
					break
				}
			}
		}
		plan := p.plan(ref)
		for _, m := range plan.moves {
			if m.to.IsZero() {
				continue
			}
			if ref.Drives[m.index] != m.from || slices.Contains(ref.Drives, m.to) || !f.Takes(m.to) || f.Fate(m.from) == upkeep.Lost {
				t.Fatalf("%+v of %v", m, ref.Drives)
			}
			if slices.Contains(plan.wanted, m.from) {
				t.Fatalf("a shard leaves a drive that is wanted: %+v", m)
			}
			ref.Drives[m.index] = m.to
		}
		for _, m := range p.plan(ref).moves {
			if !m.to.IsZero() {
				t.Fatalf("%+v is left when all was moved", m)
			}
		}
		if plan.missing == 0 && len(plan.moves) == 0 {
			wanted, _ := placement.Choose(p.stay, ref.Data, len(ref.Drives))
			for _, d := range ref.Drives {
				if !slices.Contains(wanted, d) {
					t.Fatal("nothing to do, and the drives are others")
				}
			}
		}
	}
}
