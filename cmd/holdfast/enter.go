package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"sync/atomic"

	"holdfast/cluster/forming"
	"holdfast/cluster/placement"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/rpc"
	"holdfast/internal/vfs"
	"holdfast/meta"
	"holdfast/meta/replica"
)

// birth is how this node came into its cluster.
type birth struct {
	origin
	former *forming.Former
	scheme erasure.Scheme // of a cluster that is formed now
}

// enter finds the cluster, or forms it with the others, however long that takes.
func (s *server) enter(ctx context.Context) (*birth, error) {
	p, err := planDrives(lookAtDrives(s.cfg.Data), false)
	if err != nil {
		return nil, err
	}
	self, err := forming.NodeID(vfs.OS{}, s.cfg.Data, rand.Reader)
	if err != nil {
		return nil, err
	}
	role := rpc.Storage
	if len(s.cfg.Data) == 0 {
		role = rpc.Front
	}
	var belongs atomic.Pointer[id.Cluster]
	belongs.Store(&p.cluster)
	first := role
	if p.cluster.IsZero() {
		first = rpc.Forming
	}
	gossipAddress, err := advertisedAddress(s.cfg.Network.Advertise, s.cfg.Network.Gossip)
	if err != nil {
		return nil, fmt.Errorf("--gossip-address: %w", err)
	}
	s3Address, err := advertisedAddress(s.cfg.Network.Advertise, s.address)
	if err != nil {
		return nil, err
	}
	if s.network, err = newNetwork(&s.cfg, self, func() id.Cluster { return *belongs.Load() }, first, s3Address); err != nil {
		return nil, err
	}
	n := s.network
	files := forming.Files{FS: vfs.OS{}, Dirs: s.cfg.Data}
	b := &birth{}
	if b.former, err = forming.New(forming.Config{
		Self: forming.Self{
			ID: self, Name: n.self.Name, Zone: n.self.Zone, PeerAddress: n.self.PeerAddress, GossipAddress: gossipAddress, S3Address: n.self.S3Address, Paths: s.cfg.Data,
		},
		Expect: s.cfg.Network.Expect, Scheme: s.cfg.Scheme, Join: s.cfg.Network.Join, Cluster: p.cluster,
		Caller: forming.NewCaller(n.pool), Store: files, Design: design, Logger: s.cfg.Logger,
	}); err != nil {
		return nil, err
	}
	if err := b.form(ctx, n, p.cluster.IsZero()); err != nil {
		return nil, err
	}
	belongs.Store(&b.cluster)
	return b, n.identity.SetRole(role)
}

// form finds out what the cluster is. While there is none, this node answers nothing but greetings. One
// that was interrupted while it formatted its drives goes on with the plan.
func (b *birth) form(ctx context.Context, n *network, none bool) error {
	if none {
		if err := n.answer(b.former.Register); err != nil {
			return err
		}
		defer n.stopServing()
	}
	result, err := b.former.Run(ctx)
	if err != nil {
		return err
	}
	b.cluster = result.Cluster
	if p := result.Plan; p != nil {
		b.follow(p, n.self.ID)
	}
	return nil
}

// follow takes from the plan what this node begins with.
func (b *birth) follow(p *forming.Plan, self id.Node) {
	b.scheme, b.drives = p.Scheme, map[string]id.Drive{}
	for _, d := range p.Drives(self) {
		b.drives[d.Path] = d.ID
	}
	var all []placement.Candidate
	b.beginning = &replica.Beginning{Replicas: p.Replicas}
	for _, node := range p.Nodes {
		for _, d := range node.Drives {
			b.beginning.Drives = append(b.beginning.Drives, d.ID)
			all = append(all, placement.Candidate{ID: d.ID, Zone: node.Zone, Node: node.ID, Weight: 1, Healthy: true})
		}
	}
	places := placement.ReplicaPlan(all, uint32(p.Groups)+1, p.Replicas)
	b.beginning.Place = func(group uint32) []id.Drive { return places[group] }
}

// design is what a cluster of nodes with so many drives each is made of.
func design(drivesPerNode []int, scheme erasure.Scheme) (d forming.Design, err error) {
	total := 0
	for _, n := range drivesPerNode {
		total += n
	}
	if scheme == (erasure.Scheme{}) {
		if scheme, err = erasure.DefaultFor(drivesPerNode); err != nil {
			return d, err
		}
	}
	if err := checkScheme(scheme, total); err != nil {
		return d, err
	}
	return forming.Design{Scheme: scheme, Groups: int(meta.DefaultGroups), Replicas: replica.ReplicationFactor(total, scheme.M)}, nil
}

// advertisedAddress is host with the port of the address that is listened on.
func advertisedAddress(host, listen string) (string, error) {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, port), nil
}
