package main

import (
	"context"
	"os"

	"google.golang.org/grpc"

	"holdfast/cluster"
	"holdfast/cluster/gossip"
	"holdfast/cluster/operate"
	"holdfast/internal/id"
)

// newOperator makes what the admin API shows and does. Groups, repair and rebalancing run by now.
func (s *server) newOperator(ctx context.Context) (*operate.Operator, error) {
	c, n := s.core, s.network
	cfg := operate.Config{
		Metadata: c.meta, Repair: c.repair, Groups: c.storage.host, Healed: c.storage.heal.healed.Load, RepairAfter: s.cfg.Network.RepairAfter,
		Version: versionText(), Logger: s.cfg.Logger,
	}
	if c.rebalance != nil { // a nil pointer in an interface is not nil
		cfg.Rebalance = c.rebalance
	}
	if n == nil {
		var err error
		cfg.Node = onlyNode(c.storage.cluster)
		if cfg.Layout, err = s.onlyDirectory(ctx); err != nil {
			return nil, err
		}
		return operate.New(cfg)
	}
	cfg.Node, cfg.Layout, cfg.Groups = n.self.ID, n.directory, n.router
	cfg.AddDrive = s.addDrive
	cfg.Dial = func(address string) grpc.ClientConnInterface { return n.pool.Conn(address) }
	o, err := operate.New(cfg)
	if err == nil {
		n.operators.Attach(o)
	}
	return o, err
}

// onlyNode names the process of a cluster that has one.
func onlyNode(c id.Cluster) id.Node { return id.Node(c) }

// onlyDirectory knows the drives of such a cluster.
func (s *server) onlyDirectory(ctx context.Context) (*cluster.Directory, error) {
	c := s.core
	name, _ := os.Hostname() // without one it is shown by its ID
	d, err := cluster.NewDirectory(cluster.DirectoryConfig{
		Self:   gossip.Node{ID: onlyNode(c.storage.cluster), Name: name, S3Address: s.address, Storage: true, Cluster: c.storage.cluster},
		Routes: c.storage.routes, Logger: s.cfg.Logger,
	}, c.storage.routes.All()...)
	if err != nil {
		return nil, err
	}
	stop, end := s.stopUpkeep, inBackground(func(ctx context.Context) { d.Run(ctx, c.meta) })
	s.stopUpkeep = func() {
		stop()
		end()
	}
	return d, d.WaitLayout(ctx)
}
