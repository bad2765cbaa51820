package repair

import (
	"context"
	"math/rand/v2"
	"time"

	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/proto/metapb"
)

// maxSuspects bounds the shards remembered between the two questions; the next sweep takes more.
// maxStale is the bound while there is a drive here that the cluster has given up: all that
// it holds is, or soon will be, of no use.
const (
	maxSuspects = 100_000
	maxStale    = 1_000_000
)

type suspect struct {
	drive id.Drive
	shard node.Shard
}

func (r *Repairer) sweepLoop(ctx context.Context) {
	var suspects map[suspect]struct{}
	// Nodes that start together do not all sweep at once.
	pause := time.Duration(rand.Int64N(int64(r.cfg.SweepInterval)))
	for wait(ctx, pause, nil) {
		suspects = r.sweep(ctx, suspects)
		pause = r.cfg.SweepInterval
	}
}

// sweep asks the groups about every shard on the drives of this node. One that its group does not know, now and at the sweep
// before, is an orphan: a write that failed between shards and commit, or a leftover of a
// drive that was away. The time between the questions is far longer than any write needs from
// its last shard to its commit. It returns the shards that are suspect for the first time.
func (r *Repairer) sweep(ctx context.Context, before map[suspect]struct{}) map[suspect]struct{} {
	found := map[suspect]struct{}{}
	for _, drive := range r.cfg.Local() {
		d := drive.Status().ID
		byGroup := map[uint32][]node.Shard{}
		flush := func(group uint32) error {
			shards := byGroup[group]
			delete(byGroup, group)
			return r.question(ctx, drive, d, group, shards, before, found)
		}
		err := r.eachShard(ctx, d, func(_ node.Drive, s node.Spec) error {
			g := s.Data.Group()
			if g == 0 || g > r.cfg.Metadata.Groups() {
				return nil // not ours to judge
			}
			byGroup[g] = append(byGroup[g], s.Shard)
			if len(byGroup[g]) < pageSize {
				return nil
			}
			if err := flush(g); err != nil {
				return err
			}
			if !wait(ctx, pageSize*time.Second/time.Duration(r.cfg.SweepShardsPerSecond), nil) {
				return ctx.Err()
			}
			return nil
		})
		for g := range byGroup {
			if err == nil {
				err = flush(g)
			}
		}
		if err != nil && ctx.Err() == nil {
			r.cfg.Logger.Debug("the orphan sweep of a drive ended early", "drive", d, "error", err)
		}
	}
	return found
}

// question asks a group about shards of a drive, deletes those that were unknown before as well
// and remembers the others.
func (r *Repairer) question(ctx context.Context, drive node.Drive, d id.Drive, group uint32, shards []node.Shard, before, found map[suspect]struct{}) error {
	ids := make([][]byte, len(shards))
	for i := range shards {
		ids[i] = shards[i].Data[:]
	}
	asked := r.cfg.Now()
	a, err := r.cfg.Metadata.Ask(ctx, group, &metapb.Query{Op: &metapb.Query_GetData{GetData: &metapb.GetData{DataIds: ids}}})
	if err != nil {
		return err
	}
	if len(a.Data) != len(shards) {
		return nil
	}
	room := maxSuspects
	if f := r.fleet(); f != nil && f.Fate(d) == upkeep.Lost {
		room = maxStale
	}
	var orphans []node.Shard
	for i, s := range shards {
		p := a.Data[i].GetPlacement()
		if p.GetLayout() != nil && int(s.Index) < len(p.Drives) && string(p.Drives[s.Index]) == string(d[:]) {
			continue
		}
		key := suspect{drive: d, shard: s}
		if _, twice := before[key]; twice {
			orphans = append(orphans, s)
		} else if len(found) < room {
			found[key] = struct{}{}
		}
	}
	if len(orphans) == 0 {
		return nil
	}
	if r.cfg.Now().Sub(asked) > upkeep.StaleAnswer {
		return kind.New(kind.Timeout, "repair: the answer of group %d is too old to delete by", group)
	}
	if err := drive.Delete(ctx, orphans); err != nil {
		return err
	}
	r.count(func(s *Stats) { s.Orphans += int64(len(orphans)) })
	r.cfg.Logger.Info("shards that no group knows were deleted", "drive", d, "shards", len(orphans))
	return nil
}
