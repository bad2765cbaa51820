package rebalance

import (
	"context"
	"sync"
	"time"

	"holdfast/cluster/upkeep"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
	"holdfast/proto/metapb"
)

// leftover is a shard that was moved elsewhere.
type leftover struct {
	shard node.Shard
	on    id.Drive
	due   time.Time
}

// maxLeftovers bounds what waits to be deleted; the sweep finds what is dropped.
const maxLeftovers = 200_000

// leftovers are what was left behind, oldest first.
type leftovers struct {
	mu    sync.Mutex
	queue []leftover
	on    map[place]struct{}
}

type place struct {
	shard node.Shard
	drive id.Drive
}

func newLeftovers() *leftovers { return &leftovers{on: map[place]struct{}{}} }

func (l *leftovers) add(x leftover) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) >= maxLeftovers {
		return
	}
	l.queue = append(l.queue, x)
	l.on[place{x.shard, x.on}] = struct{}{}
}

// holds reports whether the target of a move has the shard from before, about to be deleted: then the
// move has to wait.
func (l *leftovers) holds(ref fanout.Ref, m relocation) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, is := l.on[place{shardOf(ref, m), m.to}]
	return is
}

// due takes at most a page of what is due.
func (l *leftovers) due(now time.Time) (page []leftover) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.queue) && n < upkeep.PageSize && !now.Before(l.queue[n].due) {
		n++
	}
	page = append(page, l.queue[:n]...)
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return page
}

func (l *leftovers) forget(page []leftover) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range page {
		delete(l.on, place{x.shard, x.on})
	}
}

func (b *Rebalancer) leftoverLoop(ctx context.Context) {
	for pause(ctx, b.cfg.Poll) == nil {
		b.clearLeftovers(ctx)
	}
}

// clearLeftovers deletes what is due, of what its group does not name where it lies, if the drive that it does
// name has it. Whatever is in doubt is left to the sweep.
func (b *Rebalancer) clearLeftovers(ctx context.Context) {
	for ctx.Err() == nil {
		page := b.old.due(b.cfg.Now())
		if len(page) == 0 {
			return
		}
		byGroup := map[uint32][]leftover{}
		for _, x := range page {
			byGroup[x.shard.Data.Group()] = append(byGroup[x.shard.Data.Group()], x)
		}
		for g, list := range byGroup {
			if err := b.clearGroup(ctx, g, list); err != nil && ctx.Err() == nil {
				b.cfg.Logger.Debug("shards that were moved are left to the sweep", "group", g, "shards", len(list), "error", err)
			}
		}
		b.old.forget(page)
	}
}

func (b *Rebalancer) clearGroup(ctx context.Context, group uint32, list []leftover) error {
	ids := make([][]byte, len(list))
	for i := range list {
		ids[i] = list[i].shard.Data[:]
	}
	asked := b.cfg.Now()
	a, err := b.cfg.Metadata.Ask(ctx, group, &metapb.Query{Op: &metapb.Query_GetData{GetData: &metapb.GetData{DataIds: ids}}})
	if err != nil {
		return err
	}
	if len(a.Data) != len(list) {
		return kind.New(kind.Damaged, "rebalance: group %d answered for %d data IDs of %d", group, len(a.Data), len(list))
	}
	shards := map[id.Drive][]node.Shard{}
	var lost [][]byte
	for i, x := range list {
		switch verdict, err := b.judge(ctx, x, a.Data[i]); {
		case err != nil:
			b.cfg.Logger.Debug("a shard that was moved is left to the sweep", "shard", x.shard, "error", err)
		case verdict == mislaid:
			lost = append(lost, ids[i])
		case verdict == useless:
			shards[x.on] = append(shards[x.on], x.shard)
		}
	}
	if len(lost) > 0 {
		b.cfg.Logger.Warn("shards that were moved are not where they were moved to; they are rebuilt", "group", group, "shards", len(lost))
		if _, err := b.cfg.Metadata.Apply(ctx, group, &metapb.Command{NowMs: b.cfg.Now().UnixMilli(),
			Op: &metapb.Command_QueueRepair{QueueRepair: &metapb.QueueRepair{DataIds: lost}}}); err != nil {
			return err
		}
	}
	if b.cfg.Now().Sub(asked) > upkeep.StaleAnswer {
		return kind.New(kind.Timeout, "rebalance: the answer of group %d is too old to delete by", group)
	}
	return upkeep.DeleteShards(ctx, b.cfg.Drives, shards)
}

type verdict uint8

const (
	needed  verdict = iota // the record names it where it is
	mislaid                // the drive that the record names does not have it
	useless
)

// judge says what becomes of a shard that was moved.
func (b *Rebalancer) judge(ctx context.Context, x leftover, rec *metapb.DataRecord) (verdict, error) {
	if rec.GetPlacement().GetLayout() == nil {
		return useless, nil // the data is gone
	}
	ref, err := upkeep.RefOf(rec)
	if err != nil {
		return needed, err
	}
	i := int(x.shard.Index)
	if i >= len(ref.Drives) || ref.Drives[i].IsZero() {
		return needed, nil
	}
	if ref.Drives[i] == x.on {
		return needed, nil
	}
	drive, ok := b.cfg.Drives.Drive(ref.Drives[i])
	if !ok {
		return needed, kind.New(kind.Unavailable, "rebalance: no way to drive %s", ref.Drives[i])
	}
	have, err := drive.Stat(ctx, x.shard)
	switch {
	case kind.Is(err, kind.NotFound), err == nil && have != ref.Layout.Spec(ref.Data, i):
		return mislaid, nil
	case err != nil:
		return needed, err
	}
	return useless, nil
}
