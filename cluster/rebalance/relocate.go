package rebalance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/cluster/upkeep"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/node"
)

// move walks the groups again and moves what can be. moved are the shards that were.
func (b *Rebalancer) move(ctx context.Context, groups []uint32, key situation) (moved int64, err error) {
	var done atomic.Int64
	for _, g := range groups {
		var tasks sync.WaitGroup
		slots := make(chan struct{}, b.cfg.Parallel)
		err := b.walk(ctx, g, key, func(p *planner, ref fanout.Ref) error {
			moves := p.plan(ref).moves
			if !slices.ContainsFunc(moves, func(m relocation) bool { return !m.to.IsZero() }) {
				return nil
			}
			switch {
			case b.paused():
				return errChanged
			case !b.leads(g):
				return errNotLed
			}
			slots <- struct{}{}
			tasks.Go(func() {
				defer func() { <-slots }()
				done.Add(b.moveData(ctx, p, ref, moves))
			})
			return ctx.Err()
		})
		tasks.Wait()
		if err != nil && !errors.Is(err, errNotLed) {
			return done.Load(), err
		}
	}
	return done.Load(), nil
}

// moveData moves shards of one data ID, one after the other: each swap depends on the whole record, and
// readers who looked it up before lose no more than they must.
func (b *Rebalancer) moveData(ctx context.Context, p *planner, ref fanout.Ref, moves []relocation) (moved int64) {
	for _, m := range moves {
		if m.to.IsZero() || b.old.holds(ref, m) {
			continue
		}
		err := b.relocate(ctx, p, ref, m)
		switch {
		case err == nil:
			b.relocated(m, ref.Layout.ShardLen())
			ref.Drives = append([]id.Drive(nil), ref.Drives...)
			ref.Drives[m.index] = m.to
			moved++
		case ctx.Err() != nil, kind.Is(err, kind.Conflict), kind.Is(err, kind.NotFound): // changed, or deleted meanwhile
			return moved
		case kind.Is(err, kind.Full):
			b.mu.Lock()
			b.refused[m.to] = b.cfg.Now()
			b.mu.Unlock()
			b.cfg.Logger.Warn("a drive is full; shards that should be there stay where they are, or go elsewhere", "drive", m.to)
			return moved
		default:
			b.cfg.Logger.Warn("a shard could not be moved yet; it is tried again", "shard", shardOf(ref, m), "from", m.from, "to", m.to, "error", err)
			return moved
		}
	}
	return moved
}

func shardOf(ref fanout.Ref, m relocation) node.Shard {
	return node.Shard{Data: ref.Data, Index: uint8(m.index)}
}

// A relocation may take relocateBase and a second for each relocateRate bytes besides what the pace makes
// it wait.
const (
	relocateBase = time.Minute
	relocateRate = 256 << 10
)

// relocate copies a shard, or rebuilds it, and swaps the drives in its record. If the record does not
// take the swap the copy is an orphan: of data that is gone it is deleted at once, else it is left to the
// sweep, for another may be about to name it.
func (b *Rebalancer) relocate(ctx context.Context, p *planner, ref fanout.Ref, m relocation) error {
	size := ref.Layout.ShardLen()
	slow := time.Duration(float64(size) * float64(b.cfg.Parallel) / float64(max(1, b.limit())) * float64(time.Second))
	ctx, cancel := context.WithTimeout(ctx, relocateBase+time.Duration(size/relocateRate)*time.Second+2*slow)
	defer cancel()
	readable, err := false, error(nil)
	if p.fleet.Alive(m.from) {
		readable, err = b.copy(ctx, ref, m)
	}
	if !readable && ctx.Err() == nil {
		if err := b.pace.take(ctx, int(min(size, 1<<30))); err != nil {
			return err
		}
		err = b.cfg.Shards.Rebuild(ctx, ref, []int{m.index}, []id.Drive{m.to})
	}
	if err != nil {
		return err
	}
	err = upkeep.Swap(ctx, b.cfg.Metadata, b.cfg.Now().UnixMilli(), ref, []upkeep.Move{{Index: m.index, To: m.to}})
	switch {
	case err == nil:
		b.old.add(leftover{shard: shardOf(ref, m), on: m.from, due: b.cfg.Now().Add(b.cfg.ReclaimAfter)})
		return nil
	case kind.Is(err, kind.NotFound):
		return joinErr(err, upkeep.DeleteShards(ctx, b.cfg.Drives, map[id.Drive][]node.Shard{m.to: {shardOf(ref, m)}}))
	}
	return fmt.Errorf("rebalance: swap %s: %w", shardOf(ref, m), err)
}

func joinErr(first, second error) error {
	if second != nil {
		return fmt.Errorf("%w; and %w", first, second)
	}
	return first
}

// copy streams a shard from one drive to another, a block at a time. Each block is verified where it is read,
// and gets a checksum of its own where it is written. readable is false if the shard could not be read.
func (b *Rebalancer) copy(ctx context.Context, ref fanout.Ref, m relocation) (readable bool, err error) {
	from, ok := b.cfg.Drives.Drive(m.from)
	if !ok {
		return false, kind.New(kind.Unavailable, "rebalance: no way to drive %s", m.from)
	}
	to, ok := b.cfg.Drives.Drive(m.to)
	if !ok {
		return true, kind.New(kind.Unavailable, "rebalance: no way to drive %s", m.to)
	}
	spec := ref.Layout.Spec(ref.Data, m.index)
	w, err := to.Create(ctx, spec)
	if err != nil {
		return true, err
	}
	defer w.Abort()
	var buf []byte
	for n := range spec.Blocks() {
		size := spec.BlockSize(n)
		if buf == nil {
			buf = node.AllocBlock(size) // the first is the largest
		}
		if err := b.pace.take(ctx, size); err != nil {
			return true, err
		}
		if err := from.ReadBlock(ctx, spec, n, 0, buf[:size]); err != nil {
			return false, err
		}
		if err := w.WriteBlock(ctx, buf[:size]); err != nil {
			return true, err
		}
	}
	return true, w.Commit(ctx)
}
