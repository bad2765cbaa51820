package cluster

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"holdfast/cluster/gossip"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/fsm"
	"holdfast/node"
	"holdfast/node/client"
	"holdfast/node/nodetest"
	"holdfast/proto/metapb"
)

// group is a system group of one replica that is always there, unless it is told not to answer.
type group struct {
	mu     sync.Mutex
	store  *fsm.MapStore
	index  uint64
	down   bool
	asked  int
	before func(*metapb.Command) // a change that gets in between
}

func newGroup() *group { return &group{store: fsm.NewMapStore()} }

func (g *group) Groups() uint32 { return 4 }

func (g *group) Apply(_ context.Context, n uint32, cmd *metapb.Command) (*metapb.Result, error) {
	g.mu.Lock()
	if f := g.before; f != nil {
		g.before = nil
		g.mu.Unlock()
		f(cmd)
		g.mu.Lock()
	}
	defer g.mu.Unlock()
	g.index++
	res, err := fsm.Apply(g.store, n, g.index, cmd)
	if err == nil && res.Kind != 0 {
		err = kind.New(kind.Kind(res.Kind), "%s", res.Message)
	}
	return res, err
}

func (g *group) Ask(_ context.Context, n uint32, q *metapb.Query) (*metapb.Answer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	if g.down {
		return nil, kind.New(kind.Unavailable, "no leader")
	}
	a, err := fsm.Answer(g.store, n, q)
	if err == nil && a.Kind != 0 {
		err = kind.New(kind.Kind(a.Kind), "%s", a.Message)
	}
	return a, err
}

// asks is how often it was asked.
func (g *group) asks() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

func (g *group) setDown(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
}

func (g *group) drive(t *testing.T, d id.Drive) *metapb.Drive {
	t.Helper()
	a, err := g.Ask(t.Context(), 0, &metapb.Query{Op: &metapb.Query_ListDrives{ListDrives: &metapb.ListDrives{}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range a.Drives {
		if string(rec.Id) == string(d[:]) {
			return rec
		}
	}
	t.Fatalf("no record of drive %s", d)
	return nil
}

func (g *group) put(t *testing.T, c *metapb.PutDrive) {
	t.Helper()
	if _, err := g.Apply(t.Context(), 0, &metapb.Command{Op: &metapb.Command_PutDrive{PutDrive: c}}); err != nil {
		t.Fatal(err)
	}
}

// village is a gossip and the nodes that it talks of.
type village struct {
	mu      sync.Mutex
	members map[id.Node]gossip.Member
	homes   map[string]*home // by address
	changed chan struct{}
	nudges  int
	polls   int
}

// home is a node that can be asked.
type home struct {
	drives []node.Status
	silent bool // it hangs
}

func newVillage() *village {
	return &village{members: map[id.Node]gossip.Member{}, homes: map[string]*home{}, changed: make(chan struct{})}
}

func (v *village) edit(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f()
	close(v.changed)
	v.changed = make(chan struct{})
}

// settle puts a node there, with its drives.
func (v *village) settle(n gossip.Node, drives ...node.Status) {
	v.edit(func() {
		v.members[n.ID] = gossip.Member{Node: n, Alive: true}
		v.homes[n.PeerAddress] = &home{drives: drives}
	})
}

func (v *village) kill(n id.Node) {
	v.edit(func() {
		m := v.members[n]
		m.Alive = false
		v.members[n] = m
		v.homes[m.PeerAddress].silent = true
	})
}

// asks is how often nodes were asked.
func (v *village) asks() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.polls
}

func (v *village) told() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.nudges
}

// quietly changes what a node says without telling the gossip.
func (v *village) quietly(address string, f func(h *home)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(v.homes[address])
}

func (v *village) Members() []gossip.Member {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []gossip.Member
	for _, m := range v.members {
		all = append(all, m)
	}
	return all
}

func (v *village) Changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

func (v *village) Nudge() { v.edit(func() { v.nudges++ }) }

func (v *village) ask(ctx context.Context, address string) ([]node.Status, error) {
	v.mu.Lock()
	v.polls++
	h := v.homes[address]
	if h != nil && !h.silent {
		defer v.mu.Unlock()
		return slices.Clone(h.drives), nil
	}
	v.mu.Unlock()
	if h == nil {
		return nil, errors.New("connection refused")
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// far is a drive of another node.
type far struct {
	node.Drive
	address string
	mu      sync.Mutex
	status  node.Status
}

func (f *far) SetStatus(s node.Status) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = s
}

func (f *far) Status() node.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// local is a drive of this process whose status a test sets.
type local struct {
	node.Drive
	mu     sync.Mutex
	status node.Status
}

func newLocal(name string) *local {
	d := driveID(name)
	return &local{Drive: nodetest.NewDrive(d), status: node.Status{ID: d, Path: "/" + name, TotalBytes: 100, FreeBytes: 50}}
}

func (l *local) Status() node.Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

func (l *local) set(f func(s *node.Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.status)
}

func driveID(name string) (d id.Drive)     { copy(d[:], name); return d }
func nodeID(name string) (n id.Node)       { copy(n[:], name); return n }
func clusterID(name string) (c id.Cluster) { copy(c[:], name); return c }

func aNode(name, zone string) gossip.Node {
	return gossip.Node{Cluster: clusterID("C"), ID: nodeID(name), Name: name, Zone: zone, PeerAddress: name + ":9001", S3Address: name + ":9000", Storage: true}
}

func status(name string) node.Status {
	return node.Status{ID: driveID(name), Path: "/" + name, TotalBytes: 100, FreeBytes: 50}
}

// rig is a node with its directory, in a village.
type rig struct {
	*Directory
	village *village
	group   *group
	routes  *client.Drives
	stop    func()
}

func newRig(t *testing.T, self gossip.Node, v *village, g *group, locals ...node.Drive) *rig {
	t.Helper()
	r := &rig{village: v, group: g, routes: client.NewDrives()}
	cfg := DirectoryConfig{Self: self, Routes: r.routes, Logger: slog.New(slog.DiscardHandler)}
	if v != nil {
		cfg.Gossip, cfg.Ask = v, v.ask
		cfg.Remote = func(address string, d id.Drive) RemoteDrive {
			return &far{address: address, status: node.Status{ID: d}}
		}
	}
	var err error
	if r.Directory, err = NewDirectory(cfg, locals...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx, g)
	}()
	r.stop = func() {
		cancel()
		<-done
	}
	return r
}

// membership is that of the rig's node.
func (r *rig) membership(self gossip.Node, locals ...node.Drive) Membership {
	return Membership{Metadata: r.group, Drives: client.NewDrives(locals...), Cluster: self.Cluster, Node: self, Directory: r.Directory,
		Scheme: erasure.Scheme{K: 2, M: 2}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
}

// found is the View's record of a drive.
func (r *rig) found(t *testing.T, name string) DriveView {
	t.Helper()
	for _, d := range r.View().Drives {
		if d.ID == driveID(name) {
			return d
		}
	}
	t.Fatalf("the view has no drive %s", name)
	return DriveView{}
}

func (r *rig) node(t *testing.T, name string) NodeView {
	t.Helper()
	for _, n := range r.View().Nodes {
		if n.ID == nodeID(name) {
			return n
		}
	}
	t.Fatalf("the view has no node %s", name)
	return NodeView{}
}

func sortedIDs(all []id.Drive) []id.Drive {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b id.Drive) int { return cmp.Compare(string(a[:]), string(b[:])) })
	return all
}
