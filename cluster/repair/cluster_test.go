package repair

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/cluster"
	"holdfast/cluster/upkeep"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/meta/replica"
	"holdfast/node"
	"holdfast/node/nodetest"
	"holdfast/proto/metapb"
)

// layout is a View that tests change.
type layout struct {
	mu   sync.Mutex
	view cluster.View
}

func (l *layout) View() *cluster.View {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.view
	v.Drives = slices.Clone(v.Drives)
	return &v
}

func (l *layout) set(d id.Drive, change func(*cluster.DriveView)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.view.Drives {
		if l.view.Drives[i].ID == d {
			change(&l.view.Drives[i])
		}
	}
}

func gone(d *cluster.DriveView)  { d.State = metapb.Drive_GONE }
func dead(d *cluster.DriveView)  { d.Alive = false }
func alive(d *cluster.DriveView) { d.Alive = true }

// groups lead some groups here and have members.
type groups struct {
	mu      sync.Mutex
	led     map[uint32]bool
	status  replica.Status
	missing []replica.MissingReplica
	moves   []move
}

type move struct {
	group    uint32
	from, to id.Drive
}

func (g *groups) Leads(group uint32) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.led[group]
}
func (g *groups) Missing(context.Context) []replica.MissingReplica { return g.missing }
func (g *groups) Status(context.Context) replica.Status            { return g.status }
func (g *groups) MoveReplica(_ context.Context, group uint32, from, to id.Drive) error {
	g.moves = append(g.moves, move{group, from, to})
	return nil
}

func leading(led ...uint32) *groups {
	g := &groups{led: map[uint32]bool{}}
	for _, n := range led {
		g.led[n] = true
	}
	return g
}

// withLayout puts the drives of a world into a layout, each on a node of its own, and into the system group.
func (w *world) withLayout() *layout {
	l := &layout{}
	l.view = cluster.View{Version: 1, Cluster: id.Cluster{1}, Scheme: erasure.Scheme{K: 4, M: 2}, Settings: &metapb.Settings{}}
	for i, d := range w.drives {
		name := d.Status().ID
		n := id.Node{byte(i + 1)}
		l.view.Nodes = append(l.view.Nodes, cluster.NodeView{ID: n, Storage: true, Alive: true})
		l.view.Drives = append(l.view.Drives, cluster.DriveView{ID: name, Node: n, Alive: true, CapacityBytes: 1 << 40, Status: d.Status()})
		w.putDrive(name, metapb.Drive_ACTIVE)
	}
	w.repair.cfg.Layout, w.repair.eye = l, &upkeep.Eye{Layout: l}
	w.repair.cfg.Interval = 2 * time.Second
	return l
}

func (w *world) putDrive(d id.Drive, state metapb.Drive_State) {
	w.t.Helper()
	_, err := w.meta.Apply(w.t.Context(), meta.SystemGroup, &metapb.Command{Op: &metapb.Command_PutDrive{PutDrive: &metapb.PutDrive{Drive: &metapb.Drive{Id: d[:], State: state}}}})
	must(w.t, err)
}

func (w *world) state(d id.Drive) metapb.Drive_State {
	w.t.Helper()
	a, err := w.meta.Ask(w.t.Context(), meta.SystemGroup, &metapb.Query{Op: &metapb.Query_ListDrives{ListDrives: &metapb.ListDrives{}}})
	must(w.t, err)
	for _, rec := range a.Drives {
		if string(rec.Id) == string(d[:]) {
			return rec.State
		}
	}
	w.t.Fatalf("no drive %s", d)
	return 0
}

// pass lets time go by as the watch sees it.
func (w *world) pass(r *Repairer, d time.Duration) {
	for ; d > 0; d -= r.cfg.Interval {
		w.clock.pass(r.cfg.Interval)
		r.watch(w.t.Context())
	}
}

// TestAnAbsentDriveIsWaitedFor: another shard of the same data is rebuilt, the absent one is not, and
// what waits is not read again and again.
func TestAnAbsentDriveIsWaitedFor(t *testing.T) {
	w := newWorld(t, 7)
	l := w.withLayout()
	var victim int
	var data node.Shard
	for i, d := range w.drives { // of data that has a shard on drive 0 as well
		for _, s := range w.shards(d) {
			if i > 0 && slices.ContainsFunc(w.shards(w.drives[0]), func(o node.Shard) bool { return o.Data == s.Data }) {
				victim, data = i, s
			}
		}
	}
	away := w.drives[0]
	away.SetOut(true)
	l.set(away.Status().ID, dead)
	w.drives[victim].Drop(data)
	must(t, w.repair.enqueue(t.Context(), data.Data.Group(), [][]byte{data.Data[:]}))
	w.repair.look(t.Context())
	if st := w.repair.Stats(); st.Rebuilt != 1 || st.Queued != 1 || w.repair.Idle() {
		t.Fatalf("%+v: want one shard rebuilt and its data still on the queue", st)
	}
	must(t, w.drives[victim].Verify(t.Context(), data))
	reads := func() (n int) {
		for _, d := range w.drives {
			n += d.Calls(nodetest.Verify)
		}
		return n
	}
	before := reads()
	for range 100 {
		w.repair.look(t.Context())
	}
	if n := reads() - before; n != 0 {
		t.Errorf("%d shards were verified while the drive stayed away", n)
	}
	away.SetOut(false)
	l.set(away.Status().ID, alive)
	w.repair.look(t.Context())
	if st := w.repair.Stats(); st.Queued != 0 || st.Rebuilt != 1 || !w.repair.Idle() {
		t.Errorf("%+v after the drive came back", st)
	}
	w.census()
}

// TestADriveIsGivenUpOnceByWhoLeadsTheSystemGroup: after the time of the settings, as seen by a process
// that was awake; its shards go to others, and it is retired when nothing names it.
func TestADriveIsGivenUpOnceByWhoLeadsTheSystemGroup(t *testing.T) {
	w := newWorld(t, 7)
	l := w.withLayout()
	l.view.Settings = &metapb.Settings{RepairAfterMs: 60_000}
	r, d := w.repair, w.drives[3]
	name := d.Status().ID
	g := leading(1, 2, 3)
	r.cfg.Groups, r.cfg.RepairAfter = g, time.Hour
	d.SetOut(true)
	l.set(name, dead)
	w.pass(r, 10*time.Minute)
	if w.state(name) != metapb.Drive_ACTIVE {
		t.Fatal("given up by a node that does not lead the system group")
	}
	g.led[0] = true
	r.absent = absences{for_: map[id.Drive]time.Duration{}}
	w.pass(r, 30*time.Second)
	w.clock.pass(24 * time.Hour) // the process was paused
	r.watch(t.Context())
	w.pass(r, 10*time.Second)
	if w.state(name) != metapb.Drive_ACTIVE {
		t.Fatal("given up by a process that slept")
	}
	w.pass(r, 30*time.Second)
	if w.state(name) != metapb.Drive_GONE {
		t.Fatal("not given up after a minute")
	}
	l.set(name, gone)
	var members []replica.MemberStatus
	for i := range 5 {
		members = append(members, replica.MemberStatus{Drive: w.drives[i].Status().ID, Voter: true})
	}
	for n := range uint32(4) {
		g.status.Groups = append(g.status.Groups, replica.GroupStatus{Group: n, Members: members})
	}
	for range 3 {
		r.look(t.Context())
	}
	w.readAll()
	if !r.Idle() || w.state(name) != metapb.Drive_GONE {
		t.Fatalf("idle %t, state %s while a group has a replica there", r.Idle(), w.state(name))
	}
	r.cfg.Members = func(context.Context) map[uint32][]id.Drive {
		m := upkeep.MembersOf(g.status.Groups)
		for g := range m {
			m[g] = slices.DeleteFunc(m[g], func(d id.Drive) bool { return d == name })
		}
		delete(m, 2) // it does not answer
		return m
	}
	r.look(t.Context())
	if w.state(name) != metapb.Drive_GONE {
		t.Fatal("retired although a group did not say who is in it")
	}
	r.cfg.Members = func(context.Context) map[uint32][]id.Drive {
		return map[uint32][]id.Drive{0: {{1}}, 1: {{1}}, 2: {{1}}, 3: {{1}}}
	}
	r.look(t.Context())
	if w.state(name) != metapb.Drive_RETIRED {
		t.Fatalf("state %s, want it retired", w.state(name))
	}
}

// TestADriveThatCannotBeReplacedIsWaitedFor: to give it up would only make its shards stale.
func TestADriveThatCannotBeReplacedIsWaitedFor(t *testing.T) {
	w := newWorld(t, 6)
	l := w.withLayout()
	name := w.drives[1].Status().ID
	var log bytes.Buffer
	w.repair.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	l.set(name, dead)
	w.pass(w.repair, time.Hour)
	if w.state(name) != metapb.Drive_ACTIVE {
		t.Fatal("given up")
	}
	if n := strings.Count(log.String(), "add a drive"); n < 1 || n > 2 {
		t.Errorf("said %d times in an hour:\n%s", n, &log)
	}
}

// TestADriveThatFlapsIsNotGivenUp: absences do not add up.
func TestADriveThatFlapsIsNotGivenUp(t *testing.T) {
	w := newWorld(t, 7)
	l := w.withLayout()
	name := w.drives[1].Status().ID
	for range 10 {
		l.set(name, dead)
		w.pass(w.repair, 14*time.Minute)
		l.set(name, alive)
		w.pass(w.repair, 2*time.Second)
	}
	if w.state(name) != metapb.Drive_ACTIVE {
		t.Fatal("given up")
	}
	l.set(name, dead)
	w.pass(w.repair, 16*time.Minute)
	if w.state(name) != metapb.Drive_GONE {
		t.Fatal("not given up")
	}
}

// TestNodesShareTheWork: each group's queue is worked by who leads it, and by nobody else.
func TestNodesShareTheWork(t *testing.T) {
	w := newWorld(t, 6)
	w.withLayout()
	for i := range 20 {
		w.put(string(rune('A'+i)), bytes.Repeat([]byte{byte(i)}, 20_000))
	}
	var nodes []*Repairer
	for n := range uint32(3) {
		cfg := w.repair.cfg
		cfg.Groups = leading(n + 1)
		r, err := New(cfg)
		must(t, err)
		nodes = append(nodes, r)
	}
	dropped := 0
	for _, s := range w.shards(w.drives[2]) {
		w.drives[2].Drop(s)
		nodes[dropped%3].Damage(s, w.drives[2].Status().ID, nil)
		dropped++
	}
	for _, r := range nodes { // reports go to the groups' queues, wherever they are led
		r.queueReports(t.Context())
	}
	var sum int64
	for n, r := range nodes {
		r.look(t.Context())
		st := r.Stats()
		if st.Rebuilt == 0 || st.Failed != 0 {
			t.Errorf("node %d: %+v", n, st)
		}
		sum += st.Rebuilt
	}
	if int(sum) != dropped {
		t.Errorf("%d shards were rebuilt, %d were lost", sum, dropped)
	}
	w.census()
}

// TestADriveThatAnotherGroupNamesIsNotRetired: whoever leads the system group sees to the queues of a few
// groups only, and asks all before it writes a drive off.
func TestADriveThatAnotherGroupNamesIsNotRetired(t *testing.T) {
	w := newWorld(t, 7)
	l := w.withLayout()
	for i := range 20 {
		w.put(string(rune('A'+i)), bytes.Repeat([]byte{byte(i)}, 20_000))
	}
	name := w.drives[2].Status().ID
	w.putDrive(name, metapb.Drive_GONE)
	l.set(name, gone)
	members := func(context.Context) map[uint32][]id.Drive {
		return map[uint32][]id.Drive{0: {{1}}, 1: {{1}}, 2: {{1}}, 3: {{1}}}
	}
	w.repair.cfg.Groups, w.repair.cfg.Members = leading(0, 1), members
	cfg := w.repair.cfg
	cfg.Groups = leading(2, 3)
	other, err := New(cfg)
	must(t, err)
	for range 3 {
		w.repair.look(t.Context())
		w.clock.pass(time.Hour)
	}
	if w.state(name) != metapb.Drive_GONE {
		t.Fatal("retired while other groups name it")
	}
	for range 3 {
		other.look(t.Context())
	}
	w.repair.look(t.Context())
	if w.state(name) != metapb.Drive_RETIRED {
		t.Fatalf("state %s", w.state(name))
	}
	w.readAll()
}

// TestScrubAndSweepWalkTheDrivesOfThisNodeAlone.
func TestScrubAndSweepWalkTheDrivesOfThisNodeAlone(t *testing.T) {
	w := newWorld(t, 6)
	w.withLayout()
	w.repair.cfg.Local = func() []node.Drive { return []node.Drive{w.drives[4]} }
	w.repair.scrub(t.Context())
	w.repair.sweep(t.Context(), nil)
	for i, d := range w.drives {
		if n := d.Calls(nodetest.Verify) + d.Calls(nodetest.List); (n > 0) != (i == 4) {
			t.Errorf("drive %d: %d calls", i, n)
		}
	}
}

// TestADriveThatReturnsAfterItWasGivenUpIsCleared: of what records still name nothing is lost, what they
// do not name goes after two questions.
func TestADriveThatReturnsAfterItWasGivenUpIsCleared(t *testing.T) {
	w := newWorld(t, 7)
	l := w.withLayout()
	back := w.drives[2]
	name := back.Status().ID
	stale := len(w.shards(back))
	if stale == 0 {
		t.Fatal("the drive has no shard")
	}
	l.set(name, gone)
	suspects := w.repair.sweep(t.Context(), nil)
	w.repair.sweep(t.Context(), suspects)
	if n := len(w.shards(back)); n != stale {
		t.Fatalf("%d of %d shards are left while records name them", n, stale)
	}
	w.repair.look(t.Context())
	w.repair.sweep(t.Context(), w.repair.sweep(t.Context(), nil))
	if n := len(w.shards(back)); n != 0 {
		t.Fatalf("%d shards are left", n)
	}
	w.census()
	w.readAll()
}

// TestASwapIsForTheWholeRecord: when any shard of the data was moved meanwhile, the repair is not
// entered, and what it made is left to the sweep.
func TestASwapIsForTheWholeRecord(t *testing.T) {
	w := newWorld(t, 8)
	w.withLayout()
	var rec *metapb.DataRecord
	for g := uint32(1); rec == nil && g <= 3; g++ {
		a, err := w.meta.Ask(t.Context(), g, &metapb.Query{Op: &metapb.Query_ScanData{ScanData: &metapb.ScanData{}}})
		must(t, err)
		if len(a.Data) > 0 {
			rec = a.Data[0]
		}
	}
	old, err := upkeep.RefOf(rec)
	must(t, err)
	var free []id.Drive
	for _, d := range w.drives {
		if !slices.Contains(old.Drives, d.Status().ID) {
			free = append(free, d.Status().ID)
		}
	}
	swap := func(i int, to id.Drive) error {
		return upkeep.Swap(t.Context(), w.meta, 1, old, []upkeep.Move{{Index: i, To: to}})
	}
	must(t, swap(0, free[0]))
	must(t, swap(0, free[0])) // said again
	if err := swap(1, free[0]); !kind.Is(err, kind.Conflict) {
		t.Fatalf("two shards of one data ID went to one drive: %v", err)
	}
}

// TestMissingReplicasMoveWhenTheirDriveWillNotBringThemBack.
func TestMissingReplicasMoveWhenTheirDriveWillNotBringThemBack(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*cluster.DriveView)
		lost   bool // the drive says that it lost the replica
		after  time.Duration
		moves  string // "" no, "same" drive, "other"
	}{
		"just absent":                {dead, false, 10 * time.Second, ""},
		"absent for long":            {dead, false, 20 * time.Minute, "other"},
		"given up":                   {gone, false, 0, "other"},
		"the drive lost the replica": {alive, true, 0, "same"},
		"alive, but silent":          {alive, false, 10 * time.Second, ""},
		"alive, but silent for long": {alive, false, 20 * time.Minute, "same"},
		"an error took it out":       {func(d *cluster.DriveView) { d.Alive, d.Status.Out = false, true }, false, 0, "other"},
		"drained, and it is lost":    {func(d *cluster.DriveView) { d.State = metapb.Drive_DRAINING }, true, 0, "other"},
	} {
		w := newWorld(t, 7)
		l := w.withLayout()
		g := leading(0, 1)
		w.repair.cfg.Groups = g
		name := w.drives[1].Status().ID
		var members []replica.MemberStatus
		for i := range 5 {
			members = append(members, replica.MemberStatus{RaftID: uint64(i + 1), Drive: w.drives[i].Status().ID, Voter: true, Lost: c.lost && i == 1})
		}
		g.status.Groups = []replica.GroupStatus{{Group: 1, Members: members}}
		g.missing = []replica.MissingReplica{{Group: 1, RaftID: 2, Drive: name}}
		l.set(name, c.change)
		since := map[missingReplica]time.Time{}
		w.repair.lookAtReplicas(t.Context(), since)
		g.led[0] = false // nobody gives drives up here
		w.pass(w.repair, c.after)
		w.repair.lookAtReplicas(t.Context(), since)
		var got string
		for _, m := range g.moves[:min(1, len(g.moves))] {
			got = "other"
			if m.to == name {
				got = "same"
			} else if i := slices.IndexFunc(members, func(x replica.MemberStatus) bool { return x.Drive == m.to }); i >= 0 {
				t.Errorf("%s: to drive %s, which has one", what, m.to)
			}
		}
		if got != c.moves {
			t.Errorf("%s: moves %q, want %q", what, got, c.moves)
		}
	}
}

// TestAReplicaIsRebuiltWhereTheLastLeaderBegan: a move that another leader has begun is gone on with, and not
// begun anew on another drive.
func TestAReplicaIsRebuiltWhereTheLastLeaderBegan(t *testing.T) {
	for _, n := range []int{5, 6} { // the two drives without a replica
		for _, takes := range []bool{true, false} {
			w := newWorld(t, 7)
			l := w.withLayout()
			g := leading(0, 1)
			w.repair.cfg.Groups = g
			var members []replica.MemberStatus
			for i := range 5 {
				members = append(members, replica.MemberStatus{RaftID: uint64(i + 1), Drive: w.drives[i].Status().ID, Voter: true})
			}
			begun := w.drives[n].Status().ID
			g.status.Groups = []replica.GroupStatus{{Group: 1, Members: append(members, replica.MemberStatus{RaftID: 6, Drive: begun})}}
			g.missing = []replica.MissingReplica{{Group: 1, RaftID: 2, Drive: w.drives[1].Status().ID}}
			l.set(w.drives[1].Status().ID, gone)
			if !takes {
				l.set(begun, dead)
			}
			w.repair.lookAtReplicas(t.Context(), map[missingReplica]time.Time{})
			if len(g.moves) != 1 || (g.moves[0].to == begun) != takes {
				t.Errorf("drive %d, takes %t: %+v", n, takes, g.moves)
			}
		}
	}
}

// TestAReplicaGoesWhereItIsFurthestFromTheOthers.
func TestAReplicaGoesWhereItIsFurthestFromTheOthers(t *testing.T) {
	w := newWorld(t, 9)
	l := w.withLayout()
	for i := range l.view.Drives { // three nodes of three drives
		l.view.Drives[i].Node = id.Node{byte(i/3 + 1)}
	}
	l.view.Nodes = l.view.Nodes[:3]
	f := upkeep.NewFleet(l.View())
	name := func(i int) id.Drive { return w.drives[i].Status().ID }
	// Members on nodes 1, 1, 2, 3, 3; the one on node 2 is lost.
	members := []id.Drive{name(0), name(1), name(3), name(6), name(7)}
	for group := range uint32(17) {
		to, ok := upkeep.ReplicaTarget(f.Candidates(func(d id.Drive) bool { return d != name(3) }), group, members, name(3))
		if !ok || f.Drive(to).Node != (id.Node{2}) {
			t.Fatalf("group %d: to %s on node %v", group, to, f.Drive(to).Node)
		}
	}
	counts := map[id.Drive]int{}
	for group := range uint32(17) {
		to, _ := upkeep.ReplicaTarget(f.Candidates(f.Takes), group, members[:4], name(9-1))
		counts[to]++
	}
	if len(counts) < 2 {
		t.Errorf("all replicas go to one drive: %v", slices.Collect(maps.Keys(counts)))
	}
}
