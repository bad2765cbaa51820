package rebalance

import (
	"context"
	"errors"
	"time"

	"holdfast/cluster/upkeep"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/proto/metapb"
)

// survey counts what is to be moved in groups. It ends with an error if one does not answer, or the
// cluster changes under it.
func (b *Rebalancer) survey(ctx context.Context, groups []uint32, key situation) error {
	for _, g := range groups {
		t := newTally()
		err := b.walk(ctx, g, key, func(p *planner, ref fanout.Ref) error {
			t.count(p, ref)
			return nil
		})
		switch {
		case errors.Is(err, errNotLed): // its new leader surveys it
			delete(b.known, g)
		case err != nil:
			if ctx.Err() == nil && !errors.Is(err, errChanged) {
				b.cfg.Logger.Debug("a group could not be surveyed and is tried again", "group", g, "error", err)
			}
			return err
		default:
			b.known[g] = surveyed{tally: t, key: key, at: b.cfg.Now(), settled: t.movable == 0 && t.held == 0}
		}
	}
	return nil
}

// walk calls fn for the data of a group, with a planner of the cluster as it is.
func (b *Rebalancer) walk(ctx context.Context, group uint32, key situation, fn func(*planner, fanout.Ref) error) error {
	return upkeep.EachPage(ctx, b.cfg.Metadata, group, upkeep.ScanData(id.Drive{}), func(page []*metapb.DataRecord) error {
		switch {
		case !b.leads(group):
			return errNotLed
		case b.keyNow() != key:
			return errChanged
		}
		f := b.eye.Fleet()
		p := newPlanner(f, b.takes(f))
		for _, d := range page {
			ref, err := upkeep.RefOf(d)
			if err != nil {
				b.cfg.Logger.Error("a data record is damaged", "group", group, "error", err)
				continue
			}
			if err := fn(p, ref); err != nil {
				return err
			}
		}
		return pause(ctx, time.Duration(len(page))*time.Second/time.Duration(b.cfg.RecordsPerSecond))
	})
}

func (t *tally) count(p *planner, ref fanout.Ref) {
	t.scanned++
	plan := p.plan(ref)
	size := ref.Layout.ShardLen()
	t.held += int64(plan.held)
	for _, m := range plan.moves {
		t.shards, t.bytes = t.shards+1, t.bytes+size
		t.left[m.from] = Left{Shards: t.left[m.from].Shards + 1, Bytes: t.left[m.from].Bytes + size}
		if !m.to.IsZero() {
			t.movable++
		}
	}
	if plan.missing > 0 {
		return // what repair does is not counted here
	}
	for _, d := range ref.Drives {
		t.have[d] += size
	}
	for _, d := range plan.wanted {
		if !d.IsZero() {
			t.want[d] += size
		}
	}
}
