package operate

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"holdfast/cluster/rebalance"
	"holdfast/cluster/repair"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/meta/replica"
	"holdfast/proto/metapb"
)

// alone is an operator of a cluster of one node with drives.
func alone(t *testing.T, scheme erasure.Scheme, drives int) (*world, *worker, *Operator) {
	w, k := newWorld(t, scheme, []int{drives}), &worker{}
	return w, k, w.operator(func(c *Config) { c.Repair, c.Rebalance, c.Healed = k, k, func() int64 { return 3 } })
}

func TestFullRedundancyIsSaidOnlyWhenEverythingIsWhole(t *testing.T) {
	for what, harm := range map[string]func(w *world, k *worker, o *Operator){
		"":                      func(*world, *worker, *Operator) {},
		"data waits for repair": func(_ *world, k *worker, _ *Operator) { k.stats.Queued = 1 },
		"repair has not looked": func(_ *world, k *worker, _ *Operator) { k.busy = true },
		"a drive is away":       func(w *world, _ *worker, _ *Operator) { w.dead[driveID(0, 5)] = true },
		"a lost drive is not rebuilt": func(w *world, _ *worker, o *Operator) {
			_ = o.setDrive(w.t.Context(), driveID(0, 5), false, metapb.Drive_GONE)
		},
		"a group has no leader":       func(w *world, _ *worker, _ *Operator) { w.status[3].Leader = id.Drive{} },
		"a replica is silent":         func(w *world, _ *worker, _ *Operator) { w.status[3].Members[0].Active = false },
		"a replica has lost its log":  func(w *world, _ *worker, _ *Operator) { w.status[3].Members[0].Lost = true },
		"a replica is catching up":    func(w *world, _ *worker, _ *Operator) { w.status[3].Members[0].Voter = false },
		"a group changes its members": func(w *world, _ *worker, _ *Operator) { w.status[0].Joint = true },
		"a replica has stopped": func(w *world, _ *worker, _ *Operator) {
			w.status[0].Replicas = []replica.ReplicaStatus{{Failed: "disk"}}
		},
		"a node with drives is not here": func(w *world, _ *worker, _ *Operator) { w.addNode(1, 1) },
	} {
		w, k, o := alone(t, erasure.Scheme{K: 4, M: 2}, 7)
		harm(w, k, o)
		s := o.Status(t.Context())
		if full := what == ""; s.Redundancy.Full != full || s.Repair.FullRedundancy != full {
			t.Errorf("%q: full %v", what, s.Redundancy.Full)
		}
		if what != "" && what != "data waits for repair" && what != "repair has not looked" && len(s.Trouble) == 0 {
			t.Errorf("%q: no trouble is told", what)
		}
		if what == "" && len(s.Trouble) > 0 {
			t.Errorf("trouble without any: %v", s.Trouble)
		}
	}
}

// addNode puts a node with drives into the layout that does not answer.
func (w *world) addNode(n, drives int) {
	name := nodeID(n)
	w.must(&metapb.Command{Op: &metapb.Command_PutNode{PutNode: &metapb.PutNode{Node: &metapb.Node{Id: name[:], Name: "late", Storage: true}}}})
	for d := range drives {
		w.addDrive(n, d, "")
		w.dead[driveID(n, d)] = true
	}
}

func TestStatusHasTheFieldsThatProgramsRead(t *testing.T) {
	_, k, o := alone(t, erasure.Scheme{K: 4, M: 2}, 6)
	k.stats = repair.Stats{Queued: 5, Rebuilt: 6, Garbage: 7}
	text, err := json.Marshal(o.Status(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Version, Cluster, Scheme string
		Healed                   int64
		Drives                   []map[string]any
		Groups                   []map[string]any
		Repair                   map[string]any
		Trouble                  []string
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	if s.Version != "test" || len(s.Cluster) != 32 || s.Scheme != "4+2" || s.Healed != 3 || len(s.Drives) != 6 || len(s.Groups) != objectGroups+1 {
		t.Errorf("%s", text)
	}
	if s.Repair["full_redundancy"] != false || s.Repair["queued"] != 5.0 || s.Repair["rebuilt_shards"] != 6.0 {
		t.Errorf("%v", s.Repair)
	}
	for _, field := range []string{"id", "path", "read_only", "total_bytes", "free_bytes", "shards", "alive", "state"} {
		if _, ok := s.Drives[0][field]; !ok && field != "read_only" {
			t.Errorf("a drive has no %s: %v", field, s.Drives[0])
		}
	}
	for _, field := range []string{"number", "leader", "term", "members", "replicas"} {
		if _, ok := s.Groups[0][field]; !ok {
			t.Errorf("a group has no %s: %v", field, s.Groups[0])
		}
	}
}

func TestWhatIsLeftOnADrainedDriveIsToldOnceItWasCounted(t *testing.T) {
	w, k, o := alone(t, erasure.Scheme{K: 4, M: 2}, 7)
	d := driveID(0, 3)
	if _, err := o.DrainDrive(t.Context(), d.String()); err != nil {
		t.Fatal(err)
	}
	of := func(s Status) DriveStatus {
		for _, v := range s.Drives {
			if v.ID == d.String() {
				return v
			}
		}
		t.Fatal("the drive is not in the status")
		return DriveStatus{}
	}
	if v := of(o.Status(t.Context())); v.State != StateDraining || v.ShardsLeft != nil {
		t.Errorf("not counted yet: %+v", v)
	}
	k.progress = rebalance.Progress{Surveyed: true, LeftShards: 7, LeftBytes: 700, BytesPerSecond: 100, Limit: 1000,
		Drives: map[id.Drive]rebalance.Left{d: {Shards: 7, Bytes: 700, Replicas: 1}}}
	s := o.Status(t.Context())
	if v := of(s); v.ShardsLeft == nil || *v.ShardsLeft != 7 || *v.BytesLeft != 700 || *v.ReplicasLeft != int64(w.seenReplicas(d)) {
		t.Errorf("%+v", v)
	}
	if s.Rebalance.EtaSeconds != 7 || !s.Rebalance.Surveyed || s.Rebalance.LimitPerNode != 1000 || !s.Rebalance.LimitDefault {
		t.Errorf("%+v", s.Rebalance)
	}
	if _, err := o.PauseRebalance(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = o.Status(t.Context())
	if s.Rebalance.EtaSeconds != 0 || !s.Rebalance.Paused || !strings.Contains(strings.Join(s.Trouble, "\n"), "rebalance resume") {
		t.Errorf("paused: %+v, %v", s.Rebalance, s.Trouble)
	}
}

func (w *world) seenReplicas(d id.Drive) int {
	return max(1, (&picture{groups: w.status}).replicas()[d])
}

func TestDrivesThatAreAwaySayWhenTheyAreGivenUp(t *testing.T) {
	w, _, o := alone(t, erasure.Scheme{K: 4, M: 2}, 7)
	w.kill(driveID(0, 1))
	if err := o.setDrive(t.Context(), driveID(0, 2), true, metapb.Drive_GONE); err != nil {
		t.Fatal(err)
	}
	if _, err := o.SetRepairAfter(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	r := o.Status(t.Context()).Repair
	if len(r.Waiting) != 1 || r.Waiting[0].GivenUp.Sub(r.Waiting[0].Since) != time.Hour || r.AfterSeconds != 3600 {
		t.Errorf("%+v", r)
	}
	if len(r.Lost) != 1 || !r.Lost[0].Removed || r.Lost[0].Drive != driveID(0, 2).String() {
		t.Errorf("%+v", r.Lost)
	}
}

func TestManyTroublesOfOneCauseAreToldOnce(t *testing.T) {
	w, _, o := alone(t, erasure.Scheme{K: 4, M: 2}, 7)
	w.elect(5)
	w.kill(driveID(0, 1), driveID(0, 2))
	got := o.Status(t.Context()).Trouble
	if len(got) != 3 || !strings.Contains(got[0], "15m without it") || !strings.Contains(got[2], "5 of 5 metadata groups") {
		t.Errorf("%q", got)
	}
	w.dead = map[id.Drive]bool{} // the drives are back, and the replicas not
	if got = o.Status(t.Context()).Trouble; len(got) != maxGroupLines+1 || !strings.Contains(got[maxGroupLines], "more of the same kind") {
		t.Errorf("%q", got)
	}
}

func TestANodeThatLeadsNothingHasNothingToCount(t *testing.T) {
	v := newTown(t, 3)
	for n, k := range v.workers[:3] {
		k.progress.Surveyed = n < 2
	}
	for i := range v.status {
		v.status[i].Leader = driveID(i%2, 0)
	}
	if !v.operators[0].Status(t.Context()).Rebalance.Surveyed {
		t.Error("a node that leads nothing is waited for")
	}
	for _, g := range []int{0, 1} { // the system group has no data, but replicas
		was := v.status[g].Leader
		v.status[g].Leader = driveID(2, 0)
		if v.operators[0].Status(t.Context()).Rebalance.Surveyed {
			t.Errorf("a node that leads group %d and has not looked is not waited for", g)
		}
		v.status[g].Leader = was
	}
}

func TestANodeThatHasNotSeenTheLayoutIsWaitedFor(t *testing.T) {
	v := newTown(t, 3)
	for n, k := range v.workers[:3] {
		k.progress.Surveyed, k.progress.Layout = true, v.operators[0].cfg.Layout.View().Version
		if n == 2 {
			k.progress.Layout--
		}
	}
	if v.operators[0].Status(t.Context()).Rebalance.Surveyed {
		t.Error("what a node says of an older layout counts")
	}
	v.workers[2].progress.Layout++
	if !v.operators[0].Status(t.Context()).Rebalance.Surveyed {
		t.Error("nodes that have seen the layout are waited for")
	}
}

func TestCapacityIsThatOfDrivesThatStay(t *testing.T) {
	w, _, o := alone(t, erasure.Scheme{K: 4, M: 2}, 9)
	w.kill(driveID(0, 1))
	if _, err := o.DrainDrive(t.Context(), driveID(0, 2).String()); err != nil {
		t.Fatal(err)
	}
	c := o.Status(t.Context()).Capacity
	if c.Total != 8000 || c.Free != 7*600 || c.UsableFree != 7*600/6*4 {
		t.Errorf("%+v", c)
	}
}

func TestAFrontIsNoPartOfTheFigures(t *testing.T) {
	w := newWorld(t, erasure.Scheme{K: 2, M: 2}, []int{4, 0})
	k := &worker{}
	o := w.operator(func(c *Config) { c.Repair, c.Rebalance = k, k })
	s := o.Status(t.Context())
	if !s.Redundancy.Full || len(s.Nodes) != 2 || s.Nodes[1].Storage || s.Nodes[0].Drives != 4 || s.Nodes[1].Name != "node1" {
		t.Errorf("%+v %+v", s.Redundancy, s.Nodes)
	}
}

func TestStatusBeforeAnythingIsKnownSaysSo(t *testing.T) {
	w, _, o := alone(t, erasure.Scheme{K: 4, M: 2}, 6)
	w.store.Silence(errAway)
	w.status = nil
	s := o.Status(t.Context())
	if s.Redundancy.Full || len(s.Drives) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAScrubIsSeenByItsCounters(t *testing.T) {
	_, k, o := alone(t, erasure.Scheme{K: 4, M: 2}, 6) // 600 shards
	scrub := func() NodeScrub { return o.Status(t.Context()).Scrub.Nodes[0] }
	if s := scrub(); s.Running || s.Total != 600 {
		t.Errorf("before: %+v", s)
	}
	for range 2 {
		if _, err := o.StartScrub(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s := scrub(); !s.Running || s.Done != 0 || k.scrubs != 1 {
		t.Errorf("asked for: %+v, %d scrubs", s, k.scrubs)
	}
	k.stats.Verified = 250
	if s := scrub(); !s.Running || s.Done != 250 || s.Total != 600 {
		t.Errorf("under way: %+v", s)
	}
	k.stats.Verified, k.stats.Scrubs, k.stats.LastScrub = 600, 1, time.Unix(1_000_050, 0)
	all := o.Status(t.Context()).Scrub
	if all.Running || all.Nodes[0].Running || all.Oldest.Unix() != 1_000_050 {
		t.Errorf("done: %+v", all)
	}
	k.stats.Verified = 610 // one that began by itself
	if s := scrub(); !s.Running || s.Done != 10 {
		t.Errorf("again: %+v", s)
	}
	if _, err := o.StartScrub(t.Context()); err != nil || k.scrubs != 1 {
		t.Errorf("a scrub was asked for while one runs: %d, %v", k.scrubs, err)
	}
}
