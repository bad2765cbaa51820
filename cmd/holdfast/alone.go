package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"holdfast/cluster"
	"holdfast/cluster/gossip"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/node/drive"
	"holdfast/proto/metapb"
)

// A process that is alone is a cluster of one node that nobody else sees: the same layout, the same
// repair and rebalancing, but no way to others. Its drives are registered without a node.

// aloneNode names the process.
func aloneNode(c id.Cluster) id.Node { return id.Node(c) }

// openAlone puts on top of the drives what a node of a cluster has.
func (s *server) openAlone(st *storage) (err error) {
	name, _ := os.Hostname() // without one it is shown by its ID
	s.directory, err = cluster.NewDirectory(cluster.DirectoryConfig{
		Self:   gossip.Node{ID: aloneNode(st.cluster), Name: name, S3Address: s.address, Storage: true, Cluster: st.cluster},
		Routes: st.routes, Logger: s.cfg.Logger,
	}, st.routes.All()...)
	if err != nil {
		return errors.Join(err, st.close())
	}
	st.directory.Store(s.directory)
	st.heal.serve = func(d *drive.Drive) {
		st.routes.Add(d)
		s.directory.AddLocal(d)
	}
	st.heal.start()
	if err := s.begin(&core{storage: st, drives: st.routes, placer: cluster.Placer{Directory: s.directory}}, st.host); err != nil {
		return err
	}
	s.stopWatch = inBackground(func(ctx context.Context) { s.directory.Run(ctx, s.core.meta) })
	return nil
}

// joinAlone registers the drives, and starts what works on them.
func (s *server) joinAlone(ctx context.Context, scheme erasure.Scheme) error {
	c := s.core
	members := cluster.Membership{
		Metadata: c.meta, Drives: c.drives, Cluster: c.storage.cluster, Directory: s.directory, Scheme: scheme, Now: time.Now, Logger: s.cfg.Logger,
	}
	s.register = members.Join
	state, err := members.Join(ctx)
	if err != nil {
		return err
	}
	if s.cfg.Scheme != (erasure.Scheme{}) && s.cfg.Scheme != state.Scheme {
		return fmt.Errorf("--scheme %s: the cluster was made with %s, and that does not change", s.cfg.Scheme, state.Scheme)
	}
	s.directory.Nudge()
	if err := s.directory.WaitLayout(ctx, state.Version); err != nil {
		return err
	}
	if err := s.startUpkeep(state, &members); err != nil {
		return err
	}
	return s.startEngine(ctx, state.Scheme)
}

// leaves reports whether a drive is to be emptied, or its node, as far as the directory knows; it may
// be nil yet.
func leaves(d *cluster.Directory, name id.Drive) bool {
	if d == nil {
		return false
	}
	v := d.View()
	i := slices.IndexFunc(v.Drives, func(o cluster.DriveView) bool { return o.ID == name })
	if i < 0 {
		return false
	}
	if v.Drives[i].State != metapb.Drive_ACTIVE {
		return true
	}
	at := slices.IndexFunc(v.Nodes, func(o cluster.NodeView) bool { return o.ID == v.Drives[i].Node })
	return at >= 0 && v.Nodes[at].State != metapb.Node_ACTIVE
}
