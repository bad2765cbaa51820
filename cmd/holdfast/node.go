package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/cluster"
	"holdfast/cluster/notice"
	"holdfast/erasure"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	nodeclient "holdfast/node/client"
	"holdfast/node/drive"
	"holdfast/object"
)

// openNode is open for a node of a cluster: it finds the cluster, or forms it with the others, opens
// its own drives, and serves them to the others.
func (s *server) openNode(ctx context.Context) error {
	born, err := s.enter(ctx)
	if err != nil {
		return err
	}
	n := s.network
	routes := nodeclient.NewDrives()
	if err := n.meet(born.cluster, routes, born.former.Seeds); err != nil {
		return err
	}
	s.directory = n.directory
	born.transport, born.full, born.leaves = n.transport, n.full, func(d id.Drive) bool { return leaves(n.directory, d) }
	st, err := openStorage(ctx, &s.cfg, &born.origin)
	if err != nil {
		return err
	}
	for _, d := range st.drives {
		n.directory.AddLocal(d)
	}
	st.heal.serve = func(d *drive.Drive) {
		st.routes.Add(d)
		n.directory.AddLocal(d)
	}
	st.heal.fleet = n.fleet
	st.heal.start()
	if n.notices, err = notice.New(notice.Config{Dialer: n.pool, View: n.directory.View, Forget: s.forgetBucket, Believed: object.DefaultBucketCacheAge}); err != nil {
		return errors.Join(err, st.close())
	}
	if err := n.serve(st.routes, st.host, born.former.Register, n.notices.Register, n.operators.Register); err != nil {
		return errors.Join(err, st.close())
	}
	s.first = born.scheme
	s.settle = func() error { return born.former.Settle(born.cluster) }
	if err := s.begin(&core{storage: st, drives: routes, placer: cluster.Placer{Directory: n.directory}}, n.router); err != nil {
		return err
	}
	n.watch(s.core.meta)
	return nil
}

// waitLine is the time between log lines about what a start waits for, waitPause that between attempts.
const (
	waitLine  = 10 * time.Second
	waitPause = 200 * time.Millisecond
)

// joinNode is join for a node of a cluster: it waits for the system group as long as it takes, for the
// other nodes may be about to start.
func (s *server) joinNode(ctx context.Context) error {
	c, n := s.core, s.network
	members := cluster.Membership{
		Metadata: c.meta, Drives: c.storage.routes, Cluster: c.storage.cluster, Node: n.self, Directory: n.directory, Scheme: s.first, Now: time.Now, Logger: s.cfg.Logger,
	}
	s.register = members.Join
	var state cluster.State
	if err := s.insist(ctx, "the system group, which needs most of its drives' nodes", func(ctx context.Context) (err error) {
		state, err = members.Join(ctx)
		return err
	}); err != nil {
		return err
	}
	if s.cfg.Scheme != (erasure.Scheme{}) && s.cfg.Scheme != state.Scheme {
		return fmt.Errorf("--scheme %s: the cluster was made with %s, and that does not change", s.cfg.Scheme, state.Scheme)
	}
	if err := s.settle(); err != nil { // not before: until the cluster's record is there, only the plan knows the scheme
		return err
	}
	n.directory.Nudge()
	if err := s.insist(ctx, "the cluster's layout", func(ctx context.Context) error { return n.directory.WaitLayout(ctx, state.Version) }); err != nil {
		return err
	}
	if err := s.startUpkeep(state, &members, func(ctx context.Context) { n.suspect(ctx, c.storage.host) }); err != nil {
		return err
	}
	return s.startEngine(ctx, state.Scheme)
}

// insist tries until it works or cannot, and says now and then what it waits for.
func (s *server) insist(ctx context.Context, what string, try func(context.Context) error) error {
	told := time.Now()
	for {
		attempt, cancel := context.WithTimeout(ctx, waitLine)
		err := try(attempt)
		cancel()
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case !kind.Is(err, kind.Unavailable) && !kind.Is(err, kind.Timeout) && !errors.Is(err, context.DeadlineExceeded):
			return err
		}
		if time.Since(told) >= waitLine {
			told = time.Now()
			s.cfg.Logger.Warn("waiting for "+what, "nodes", s.network.sight(), "error", err)
		}
		select {
		case <-time.After(waitPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
