package repair

import (
	"context"
	"errors"
	"sync"
	"time"

	"holdfast/cluster/upkeep"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/proto/metapb"
)

func (r *Repairer) scrubLoop(ctx context.Context) {
	interval := r.cfg.ScrubInterval
	if interval < 0 {
		interval = 100 * 365 * 24 * time.Hour // only when asked
	}
	for wait(ctx, interval, r.scrb) {
		r.scrub(ctx)
	}
}

// scrub verifies every shard on the drives of this node, then looks in the groups led here for shards
// that are on no drive. The first finds flipped bytes, the second what is missing altogether.
func (r *Repairer) scrub(ctx context.Context) {
	begin := r.cfg.Now()
	var wg sync.WaitGroup
	for _, drive := range r.cfg.Local() {
		d := drive.Status().ID
		wg.Go(func() {
			if err := r.scrubDrive(ctx, d); err != nil && ctx.Err() == nil {
				r.cfg.Logger.Error("the scrub of a drive ended early: look at the drive", "drive", d, "error", err)
			}
		})
	}
	wg.Wait()
	for _, g := range r.led() {
		if err := r.census(ctx, g); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("the census of a group ended early; the next scrub repeats it", "group", g, "error", err)
		}
	}
	if ctx.Err() != nil {
		return
	}
	r.count(func(s *Stats) { s.Scrubs, s.LastScrub = s.Scrubs+1, r.cfg.Now() })
	st := r.Stats()
	r.cfg.Logger.Info("scrub done", "took", r.cfg.Now().Sub(begin).Round(time.Millisecond).String(), "shards", st.Verified, "bad", st.Damaged)
	r.Kick()
}

func (r *Repairer) scrubDrive(ctx context.Context, d id.Drive) error {
	if r.cfg.ScrubDrive != nil {
		if err := r.cfg.ScrubDrive(ctx, d); err != nil {
			r.count(func(st *Stats) { st.Damaged++ })
			r.cfg.Logger.Error("the tables or the raft log of a drive are damaged and were not healed: the next scrub tries again; look at the drive", "drive", d, "error", err)
		}
	}
	return r.eachShard(ctx, d, func(drive node.Drive, s node.Spec) error {
		err := drive.Verify(ctx, s.Shard)
		switch kind.Of(err) {
		case kind.Damaged:
			r.count(func(st *Stats) { st.Damaged++ })
			r.Damage(s.Shard, d, err)
			r.queueReports(ctx)
		case kind.NotFound: // deleted since
		default:
			if err != nil {
				return err
			}
		}
		r.count(func(st *Stats) { st.Verified++ })
		if !wait(ctx, time.Duration(float64(s.Length)/float64(r.cfg.ScrubBytesPerSecond)*float64(time.Second)), nil) {
			return ctx.Err()
		}
		return nil
	})
}

// eachShard calls fn for the shards of a drive in ascending order.
func (r *Repairer) eachShard(ctx context.Context, d id.Drive, fn func(node.Drive, node.Spec) error) error {
	drive, ok := r.cfg.Drives.Drive(d)
	if !ok || drive.Status().Out {
		return nil
	}
	var after node.Shard
	for {
		page, err := drive.List(ctx, after, pageSize)
		if err != nil {
			return err
		}
		for _, s := range page {
			if err := fn(drive, s); err != nil {
				return err
			}
			after = s.Shard
		}
		if len(page) < pageSize {
			return nil
		}
	}
}

// census queues every data ID of a group of which a drive that answers misses its shard, or whose
// record names no drive or a lost one.
func (r *Repairer) census(ctx context.Context, group uint32) error {
	var ids [][]byte
	_, err := upkeep.Each(ctx, r.cfg.Metadata, group, upkeep.ScanData(id.Drive{}), func(d *metapb.DataRecord) error {
		ref, err := upkeep.RefOf(d)
		if err != nil {
			return err
		}
		if !r.leads(group) {
			return errNotLed
		}
		bad, _ := r.cfg.Shards.Check(ctx, ref, fanout.Looking{Lost: r.isLost})
		if len(bad) == 0 {
			return ctx.Err()
		}
		r.count(func(s *Stats) { s.Damaged++ })
		if ids = append(ids, d.DataId); len(ids) < pageSize {
			return nil
		}
		err, ids = r.enqueue(ctx, group, ids), nil
		return err
	})
	return errors.Join(err, r.enqueue(ctx, group, ids))
}
