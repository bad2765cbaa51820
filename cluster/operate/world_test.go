package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"holdfast/cluster"
	"holdfast/cluster/placement"
	"holdfast/cluster/rebalance"
	"holdfast/cluster/repair"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta"
	"holdfast/meta/metatest"
	"holdfast/meta/replica"
	"holdfast/node"
	"holdfast/proto/metapb"
)

// objectGroups is how many groups a world has besides the system group.
const objectGroups = 4

// world is a cluster without processes: real state machines, a View made of what they say, and
// whatever a test says of who is alive.
type world struct {
	store *metatest.Groups
	t     *testing.T

	mu     sync.Mutex
	before func(cmd *metapb.Command) // a change that gets in between
	dead   map[id.Drive]bool
	local  id.Node
	shards int64
	status []replica.GroupStatus
	peers  map[id.Node]string
	nudged int
	waited uint64 // for this version of the layout
}

func nodeID(n int) id.Node      { return id.Node{0xA0 + byte(n), 1, 2, 3} }
func driveID(n, d int) id.Drive { return id.Drive{0xA0 + byte(n), 0xD0 + byte(d), 3, 4} }

// newWorld makes nodes with so many drives each. zones, if any, are dealt to the nodes in turn.
func newWorld(t *testing.T, scheme erasure.Scheme, perNode []int, zones ...string) *world {
	t.Helper()
	w := &world{store: metatest.New(objectGroups), t: t, dead: map[id.Drive]bool{}, shards: 100, local: nodeID(0), peers: map[id.Node]string{}}
	w.must(&metapb.Command{Op: &metapb.Command_InitCluster{InitCluster: &metapb.InitCluster{Cluster: &metapb.Cluster{
		Id: make([]byte, 15+1), Groups: objectGroups, K: uint32(scheme.K), M: uint32(scheme.M)}}}})
	for n, drives := range perNode {
		zone := ""
		if len(zones) > 0 {
			zone = zones[n%len(zones)]
		}
		name := nodeID(n)
		w.must(&metapb.Command{Op: &metapb.Command_PutNode{PutNode: &metapb.PutNode{Node: &metapb.Node{Id: name[:], Name: fmt.Sprintf("node%d", n), Zone: zone, Storage: drives > 0}}}})
		for d := range drives {
			w.addDrive(n, d, zone)
		}
	}
	w.elect(min(3, len(w.View().Drives)))
	return w
}

func (w *world) addDrive(n, d int, zone string) id.Drive {
	node, drive := nodeID(n), driveID(n, d)
	w.must(&metapb.Command{Op: &metapb.Command_PutDrive{PutDrive: &metapb.PutDrive{Drive: &metapb.Drive{
		Id: drive[:], Node: node[:], Zone: zone, Path: fmt.Sprintf("/mnt/%c", 'a'+d), CapacityBytes: 1000}}}})
	return drive
}

func (w *world) must(cmd *metapb.Command) {
	w.t.Helper()
	if _, err := w.store.Apply(w.t.Context(), meta.SystemGroup, cmd); err != nil {
		w.t.Fatal(err)
	}
}

// Apply lets a test get in between.
func (w *world) Apply(ctx context.Context, group uint32, cmd *metapb.Command) (*metapb.Result, error) {
	w.mu.Lock()
	before := w.before
	w.before = nil
	w.mu.Unlock()
	if before != nil {
		before(cmd)
	}
	return w.store.Apply(ctx, group, cmd)
}

// Ask implements upkeep.Metadata.
func (w *world) Ask(ctx context.Context, group uint32, q *metapb.Query) (*metapb.Answer, error) {
	return w.store.Ask(ctx, group, q)
}

// Groups implements upkeep.Metadata.
func (w *world) Groups() uint32 { return objectGroups }

// elect gives every group so many replicas, where placement wants them.
func (w *world) elect(factor int) {
	v := w.View()
	w.status = nil
	for g := range uint32(objectGroups + 1) {
		s := replica.GroupStatus{Group: g, Term: 3}
		for i, d := range placement.Replicas(v.Candidates(), g, factor) {
			if i == 0 {
				s.Leader = d
			}
			s.Members = append(s.Members, replica.MemberStatus{RaftID: uint64(i + 1), Drive: d, Voter: true, Active: true})
		}
		w.status = append(w.status, s)
	}
}

// kill has drives not answer any more, and their replicas not be heard of.
func (w *world) kill(drives ...id.Drive) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range drives {
		w.dead[d] = true
		for i := range w.status {
			for j := range w.status[i].Members {
				if m := &w.status[i].Members[j]; m.Drive == d {
					m.Active = false
				}
			}
		}
	}
}

// vacate takes the replicas off a drive.
func (w *world) vacate(d id.Drive) {
	for i := range w.status {
		g := &w.status[i]
		g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(m replica.MemberStatus) bool { return m.Drive == d })
		if g.Leader == d {
			g.Leader = g.Members[0].Drive
		}
	}
}

// Status implements Groups.
func (w *world) Status(context.Context) replica.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.Clone(w.status)
	for i := range all {
		all[i].Members = slices.Clone(all[i].Members)
	}
	return replica.Status{Groups: all}
}

// Nudge implements Layout.
func (w *world) Nudge() { w.nudged++ }

// WaitLayout implements Layout.
func (w *world) WaitLayout(_ context.Context, version uint64) error {
	w.waited = version
	return nil
}

// View implements Layout.
func (w *world) View() *cluster.View {
	a, err := w.store.Ask(context.Background(), meta.SystemGroup, &metapb.Query{Op: &metapb.Query_GetLayout{GetLayout: &metapb.GetLayout{}}})
	if err != nil {
		return &cluster.View{Settings: &metapb.Settings{}}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	v := overlay(cluster.View{}, a.Layout)
	for i := range v.Drives {
		d := &v.Drives[i]
		d.Alive, d.Local = !w.dead[d.ID], d.Node == w.local
		d.Status = node.Status{ID: d.ID, Path: d.Status.Path, TotalBytes: 1000, FreeBytes: 600, Shards: w.shards}
		d.Since = time.Unix(1_000_000, 0)
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		n.Local, n.PeerAddress, n.Since = n.ID == w.local, w.peers[n.ID], time.Unix(1_000_000, 0)
		for _, d := range v.Drives {
			n.Alive = n.Alive || d.Node == n.ID && d.Alive
		}
		n.Alive = n.Alive || !n.Storage
	}
	return v
}

func (w *world) state(d id.Drive) (metapb.Drive_State, bool) {
	w.t.Helper()
	for _, v := range w.View().Drives {
		if v.ID == d {
			return v.State, v.Removed
		}
	}
	w.t.Fatalf("no drive %s", d)
	return 0, false
}

func (w *world) nodeState(n id.Node) (metapb.Node_State, bool) {
	w.t.Helper()
	for _, v := range w.View().Nodes {
		if v.ID == n {
			return v.State, v.Removed
		}
	}
	w.t.Fatalf("no node %s", n)
	return 0, false
}

// name puts a record into a group that names drives.
func (w *world) name(drives ...id.Drive) {
	w.t.Helper()
	scheme := w.View().Scheme
	p := &metapb.Placement{Layout: &metapb.Layout{K: uint32(scheme.K), M: uint32(scheme.M), BlockLen: 4096, Length: 100}, Refs: 1}
	for i := range scheme.Shards() {
		d := driveID(99, i)
		if i < len(drives) {
			d = drives[i]
		}
		p.Drives = append(p.Drives, d[:])
	}
	data := id.Data{0, 0, 0, 2, 7}
	v := []byte("0123456789abcdef")
	if _, err := w.store.Apply(w.t.Context(), 2, &metapb.Command{RequestId: v, Bucket: v, Key: "k", Op: &metapb.Command_PutVersion{PutVersion: &metapb.PutVersion{
		Manifest: &metapb.Manifest{VersionId: v, Size: 100, Parts: []*metapb.Part{{Number: 1, Size: 100, DataId: data[:], StreamId: v, Placement: p}}}}}}); err != nil {
		w.t.Fatal(err)
	}
}

// operator makes an Operator over the world; edit may be nil.
func (w *world) operator(edit func(*Config)) *Operator {
	w.t.Helper()
	cfg := Config{Rebalance: &worker{}, Node: w.local, Metadata: w, Layout: w, Groups: w, Version: "test", Now: func() time.Time { return time.Unix(1_000_060, 0) }}
	if edit != nil {
		edit(&cfg)
	}
	o, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// refusedFor fails unless err refuses with a code.
func refusedFor(t *testing.T, err error, code string) {
	t.Helper()
	var r *Refused
	if !errors.As(err, &r) || r.Code != code {
		t.Errorf("not refused with %s but: %v", code, err)
	}
}

// worker is the repair and rebalancing of a node.
type worker struct {
	mu       sync.Mutex
	stats    repair.Stats
	busy     bool
	scrubs   int
	kicks    int
	progress rebalance.Progress
}

func (k *worker) Stats() repair.Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stats
}

func (k *worker) Idle() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.busy
}

func (k *worker) Scrub() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.scrubs++
}

func (k *worker) Kick() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kicks++
}

func (k *worker) Progress() rebalance.Progress {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.progress
}

var errAway = kind.New(kind.Unavailable, "no leader")
