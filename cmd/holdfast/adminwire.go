package main

import (
	"google.golang.org/grpc"

	"holdfast/cluster/operate"
)

// newOperator makes what the admin API shows and does. Groups, repair and rebalancing run by now.
func (s *server) newOperator() (*operate.Operator, error) {
	c, n := s.core, s.network
	cfg := operate.Config{
		Metadata: c.meta, Layout: s.directory, Repair: c.repair, Rebalance: c.rebalance, Groups: c.storage.host, Healed: c.storage.heal.healed.Load,
		AddDrive: s.addDrive, RepairAfter: s.cfg.Network.RepairAfter, Version: versionText(), Logger: s.cfg.Logger,
	}
	if n == nil {
		cfg.Node = aloneNode(c.storage.cluster)
		return operate.New(cfg)
	}
	cfg.Node, cfg.Groups = n.self.ID, n.router
	cfg.Dial = func(address string) grpc.ClientConnInterface { return n.pool.Conn(address) }
	o, err := operate.New(cfg)
	if err == nil {
		n.operators.Attach(o)
	}
	return o, err
}
