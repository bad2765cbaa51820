package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"holdfast/erasure"
	"holdfast/internal/telemetry"
	"holdfast/meta/replica"
	"holdfast/node"
)

// statusTimeout bounds how long a scrape or a look at /-/ready waits for the replicas.
const statusTimeout = 2 * time.Second

// reasons lists why the server is not ready to take requests.
func (s *server) reasons(r *http.Request) []string {
	c := s.running()
	if c == nil {
		return []string{"the drives are being opened"}
	}
	var why []string
	if s.network != nil {
		ctx, cancel := context.WithTimeout(r.Context(), statusTimeout)
		defer cancel()
		if err := s.network.leaderless(ctx); err != nil {
			why = append(why, fmt.Sprintf("not every metadata group answers: %v", err))
		}
	} else {
		for group, leader := range c.storage.host.Leaders() {
			if leader.IsZero() {
				why = append(why, fmt.Sprintf("metadata group %d has no leader", group))
			}
		}
	}
	if !s.engineRuns() {
		return append(why, "the engine waits for the system group")
	}
	if n, want := c.healthyDrives(), writeQuorum(c.scheme); n < want {
		why = append(why, fmt.Sprintf("%d drives take writes, %d are needed for scheme %s", n, want, c.scheme))
	}
	return why
}

func (s *server) engineRuns() bool { return s.front.running.Load() != nil }

// writeQuorum is how many shards must be durable before a write is acknowledged: one more than a
// read needs, where there is parity.
func writeQuorum(scheme erasure.Scheme) int { return scheme.K + min(1, scheme.M) }

func (c *core) healthyDrives() (n int) {
	for _, d := range c.drives.All() {
		if st := d.Status(); !st.Out && !st.ReadOnly {
			n++
		}
	}
	return n
}

func (s *server) driveFigures() []telemetry.Drive {
	c := s.running()
	if c == nil {
		return nil
	}
	var all []telemetry.Drive
	for _, d := range c.drives.All() {
		all = append(all, driveFigure(d.Status()))
	}
	return all
}

func driveFigure(st node.Status) telemetry.Drive {
	return telemetry.Drive{
		ID: st.ID.String(), Path: st.Path, Out: st.Out, ReadOnly: st.ReadOnly,
		TotalBytes: st.TotalBytes, FreeBytes: st.FreeBytes, Shards: st.Shards,
	}
}

func (s *server) groups() []replica.GroupStatus {
	c := s.running()
	if c == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	return c.storage.host.Status(ctx).Groups
}

func (s *server) groupFigures() []telemetry.Group {
	var all []telemetry.Group
	for _, g := range s.groups() {
		f := telemetry.Group{Number: g.Group, Leader: !g.Leader.IsZero(), Term: g.Term}
		for _, r := range g.Replicas {
			f.Applied, f.Term = max(f.Applied, r.Applied), max(f.Term, r.Term)
		}
		all = append(all, f)
	}
	return all
}

func (s *server) repairFigures() telemetry.Repair {
	c := s.running()
	if c == nil || !s.engineRuns() {
		return telemetry.Repair{}
	}
	st := c.repair.Stats()
	return telemetry.Repair{
		FullRedundancy: c.repair.Idle() && s.replicasWhole(c), Queued: st.Queued, RebuiltShards: st.Rebuilt, FailedRebuilds: st.Failed,
		ScrubbedShards: st.Verified, DamagedShards: st.Damaged, Scrubs: st.Scrubs, LastScrub: st.LastScrub, GarbageData: st.Garbage,
		ReclaimedData: st.Reclaimed, OrphanShards: st.Orphans,
	}
}

// replicasWhole reports whether, as far as this process can tell, every group has a leader and all its
// members, and none is in the middle of a change of them.
func (s *server) replicasWhole(c *core) bool {
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	return len(c.storage.host.Troubles(ctx)) == 0
}

// majorities waits until every group has a leader, and says what is missing if that does not come.
func (s *storage) majorities(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, s.cfg.ElectionPatience)
	defer cancel()
	err := s.host.WaitReady(waiting)
	if err == nil || ctx.Err() != nil {
		return err
	}
	status := s.host.Status(ctx)
	for _, g := range status.Groups {
		if g.Leader.IsZero() {
			return fmt.Errorf("too few drives of this cluster are here: metadata group %d has %d replicas on them and finds no majority. "+
				"Start with more of the cluster's drives; nothing was changed on those that are here", g.Group, len(g.Replicas))
		}
	}
	return fmt.Errorf("the metadata groups did not find leaders within %s: %w", s.cfg.ElectionPatience, err)
}
