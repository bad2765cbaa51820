package forming

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/proto/formpb"
)

// Plan is the cluster that is to be.
type Plan struct {
	Cluster     id.Cluster
	Coordinator id.Node
	Nodes       []PlannedNode // in the order of their IDs
	Scheme      erasure.Scheme
	Groups      int // of object keys
	Replicas    int // of a group
	Created     time.Time
	expect      int
}

// PlannedNode is a node of a Plan, with the IDs that its drives get.
type PlannedNode struct {
	Self
	Drives []PlannedDrive
}

// PlannedDrive is a drive of a Plan.
type PlannedDrive struct {
	ID   id.Drive
	Path string
}

// Drives are those of one node; nil if it is not in the plan.
func (p *Plan) Drives(node id.Node) []PlannedDrive {
	for _, n := range p.Nodes {
		if n.ID == node {
			return n.Drives
		}
	}
	return nil
}

// draw makes a plan of nodes, which are in the order of their IDs.
func draw(nodes []*formpb.Info, self id.Node, cfg *Config, now time.Time) (*formpb.Plan, error) {
	var counts []int
	for _, n := range nodes {
		counts = append(counts, len(n.Paths))
	}
	d, err := cfg.Design(counts, cfg.Scheme)
	if err != nil {
		return nil, fmt.Errorf("forming: a cluster of these nodes: %w", err)
	}
	p := &formpb.Plan{Coordinator: self[:], K: uint32(d.Scheme.K), M: uint32(d.Scheme.M), Groups: uint32(d.Groups), Replicas: uint32(d.Replicas),
		CreatedMs: now.UnixMilli(), Expect: uint32(cfg.Expect)}
	random := func() (b []byte) {
		b = make([]byte, id.Size)
		if err == nil {
			_, err = io.ReadFull(cfg.Rand, b)
		}
		return b
	}
	p.Id, p.Cluster = random(), random()
	for _, n := range nodes {
		planned := &formpb.PlannedNode{Info: n}
		for _, path := range n.Paths {
			planned.Drives = append(planned.Drives, &formpb.PlannedDrive{Id: random(), Path: path})
		}
		p.Nodes = append(p.Nodes, planned)
	}
	if err != nil {
		return nil, fmt.Errorf("forming: random identifiers: %w", err)
	}
	_, err = planOf(p)
	return p, err
}

// planOf checks a plan, whoever sent it.
func planOf(p *formpb.Plan) (*Plan, error) {
	bad := func(what string) (*Plan, error) { return nil, fmt.Errorf("forming: a plan with %s", what) }
	plan := &Plan{Scheme: erasure.Scheme{K: int(p.GetK()), M: int(p.GetM())}, Groups: int(p.GetGroups()), Replicas: int(p.GetReplicas()),
		Created: time.UnixMilli(p.GetCreatedMs()), expect: int(p.GetExpect())}
	var err error
	if plan.Cluster, err = id.FromBytes[id.Cluster](p.GetCluster()); err != nil || plan.Cluster.IsZero() || len(p.Id) != id.Size {
		return bad("no identifiers")
	}
	if plan.Coordinator, err = id.FromBytes[id.Node](p.Coordinator); err != nil {
		return bad("no coordinator")
	}
	if err := plan.Scheme.Validate(); err != nil {
		return nil, fmt.Errorf("forming: a plan: %w", err)
	}
	if len(p.Nodes) != plan.expect || plan.expect < 1 || plan.expect > maxExpect || plan.Groups < 1 || plan.Replicas < 1 {
		return bad("counts out of range")
	}
	if !inPlan(p, plan.Coordinator) {
		return bad("a coordinator that is not part of it")
	}
	drives := map[id.Drive]bool{}
	for i, n := range p.Nodes {
		if len(n.Info.GetId()) != id.Size || i > 0 && bytes.Compare(n.Info.Id, p.Nodes[i-1].Info.Id) <= 0 {
			return bad("nodes out of order")
		}
		node := PlannedNode{Self: Self{ID: id.Node(n.Info.Id), Name: n.Info.Name, Zone: n.Info.Zone, PeerAddress: n.Info.PeerAddress,
			GossipAddress: n.Info.GossipAddress, S3Address: n.Info.S3Address, Paths: n.Info.Paths}}
		if len(n.Drives) == 0 || len(n.Drives) > maxPaths {
			return bad("a node without drives, or with too many")
		}
		for _, d := range n.Drives {
			name, err := id.FromBytes[id.Drive](d.Id)
			if err != nil || name.IsZero() || drives[name] {
				return bad("a drive ID missing or twice")
			}
			drives[name] = true
			node.Drives = append(node.Drives, PlannedDrive{ID: name, Path: d.Path})
		}
		plan.Nodes = append(plan.Nodes, node)
	}
	return plan, nil
}
