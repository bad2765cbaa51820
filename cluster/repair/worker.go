package repair

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"holdfast/cluster/upkeep"
	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

// pageSize is how many data IDs go into one command.
const pageSize = upkeep.PageSize

func (r *Repairer) workLoop(ctx context.Context) {
	for {
		r.look(ctx)
		if !wait(ctx, r.cfg.Interval, r.kick) {
			return
		}
	}
}

// look serves reports, lost drives and the queues of the groups led here once.
func (r *Repairer) look(ctx context.Context) {
	r.queueReports(ctx)
	r.recall()
	clean := r.queueLost(ctx)
	var total int64
	led := r.led()
	for _, g := range led {
		n, err := r.work(ctx, g)
		if err != nil {
			clean = false
			r.cfg.Logger.Debug("the repair queue of a group waits", "group", g, "error", err)
		}
		total += n
		r.lost.left[g] = n
	}
	r.mu.Lock()
	r.looked = led
	r.mu.Unlock()
	r.count(func(s *Stats) {
		s.Queued = total
		if clean {
			s.Looks++
		}
	})
}

// queueReports puts the damage that readers reported on the groups' queues, where a crash does
// not lose it, and where whoever leads the group finds it.
func (r *Repairer) queueReports(ctx context.Context) {
	r.mu.Lock()
	reports := r.reported
	r.reported = map[id.Data]struct{}{}
	r.mu.Unlock()
	byGroup := map[uint32][][]byte{}
	for d := range reports {
		byGroup[d.Group()] = append(byGroup[d.Group()], d[:])
	}
	for g, ids := range byGroup {
		if err := r.enqueue(ctx, g, ids); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("damage reports could not be queued; the scrub will find it", "group", g, "data_ids", len(ids), "error", err)
		}
	}
}

// enqueue puts data on the repair queue of their group.
func (r *Repairer) enqueue(ctx context.Context, group uint32, ids [][]byte) error {
	if group == 0 || group > r.cfg.Metadata.Groups() {
		return nil
	}
	for len(ids) > 0 {
		n := min(pageSize, len(ids))
		cmd := r.command()
		cmd.Op = &metapb.Command_QueueRepair{QueueRepair: &metapb.QueueRepair{DataIds: ids[:n]}}
		if _, err := r.cfg.Metadata.Apply(ctx, group, cmd); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

var errNotLed = errors.New("repair: the group is led elsewhere by now")

// work repairs what is on a group's queue and returns how much is left.
func (r *Repairer) work(ctx context.Context, group uint32) (int64, error) {
	done := acks{flush: func(ids [][]byte) error {
		cmd := r.command()
		cmd.Op = &metapb.Command_AckRepair{AckRepair: &metapb.AckRepair{DataIds: ids}}
		_, err := r.cfg.Metadata.Apply(ctx, group, cmd)
		return err
	}}
	var tasks sync.WaitGroup
	slots := make(chan struct{}, r.cfg.Parallel)
	n, err := upkeep.Each(ctx, r.cfg.Metadata, group, upkeep.ScanRepair, func(d *metapb.DataRecord) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !r.leads(group):
			return errNotLed
		case !r.due(d):
			return nil
		}
		slots <- struct{}{}
		tasks.Go(func() {
			defer func() { <-slots }()
			r.workOn(ctx, d, &done)
		})
		return nil
	})
	tasks.Wait()
	err = errors.Join(err, done.close())
	return n - int64(done.total), err
}

func (r *Repairer) workOn(ctx context.Context, d *metapb.DataRecord, done *acks) {
	whole, err := r.repair(ctx, d)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && !kind.Is(err, kind.Conflict) && !kind.Is(err, kind.NotFound): // changed or deleted meanwhile
		r.count(func(s *Stats) { s.Failed++ })
		r.cfg.Logger.Warn("a repair failed and waits", "data", fmt.Sprintf("%x", d.DataId), "error", err)
	}
	if !whole || err != nil {
		r.putOff(d)
		return
	}
	r.forget(d)
	if err := done.add(d.DataId); err != nil {
		r.cfg.Logger.Debug("finished repairs could not be taken off the queue", "error", err)
	}
}

// repair looks at all shards of a data ID and rebuilds what is bad. whole is false when a shard
// has no drive to go to yet, or is on a drive that does not answer and may come back.
func (r *Repairer) repair(ctx context.Context, d *metapb.DataRecord) (whole bool, err error) {
	if d.Placement == nil || d.Placement.Layout == nil {
		return true, nil // deleted since
	}
	ref, err := upkeep.RefOf(d)
	if err != nil {
		return false, err
	}
	bad, unsure := r.cfg.Shards.Check(ctx, ref, fanout.Looking{Deep: true, Lost: r.isLost})
	missing, to := r.destinations(ref, bad)
	if len(missing) == 0 {
		return len(bad) == 0 && unsure == nil, nil
	}
	if err := r.cfg.Shards.Rebuild(ctx, ref, missing, to); err != nil {
		return false, err
	}
	if err := r.swap(ctx, ref, missing, to); err != nil {
		return false, err
	}
	r.count(func(s *Stats) { s.Rebuilt += int64(len(missing)) })
	return len(missing) == len(bad) && unsure == nil, nil
}

// destinations chooses a drive for each bad shard: its own where that is well, else one that holds
// no shard of the data ID yet; its own again if there is none and that one is only to be emptied.
func (r *Repairer) destinations(ref fanout.Ref, bad []int) (missing []int, to []id.Drive) {
	if len(bad) == 0 {
		return nil, nil
	}
	used := map[id.Drive]bool{}
	for _, d := range ref.Drives {
		used[d] = true
	}
	chosen, spares := r.cfg.Placer.Place(ref.Data, len(ref.Drives))
	free := append(chosen, spares...)
	for _, i := range bad {
		own := ref.Drives[i]
		if !own.IsZero() && r.takes(own) {
			missing, to = append(missing, i), append(to, own)
			continue
		}
		for len(free) > 0 && (free[0].IsZero() || used[free[0]] || !r.takes(free[0])) {
			free = free[1:]
		}
		switch {
		case len(free) > 0:
			missing, to = append(missing, i), append(to, free[0])
			used[free[0]] = true
		case !own.IsZero() && r.reachable(own) && !r.isLost(own):
			missing, to = append(missing, i), append(to, own)
		}
	}
	return missing, to
}

// swap puts rebuilt shards into the data record. If the data is gone meanwhile, nobody will ever use
// the new shards, and they are deleted. If only the record has changed, they are left to the sweep: another
// who does the same may be about to name them.
func (r *Repairer) swap(ctx context.Context, ref fanout.Ref, missing []int, to []id.Drive) error {
	var moves []upkeep.Move
	fresh := make([]id.Drive, len(ref.Drives))
	for n, i := range missing {
		if to[n] != ref.Drives[i] {
			moves = append(moves, upkeep.Move{Index: i, To: to[n]})
			fresh[i] = to[n]
		}
	}
	if len(moves) == 0 {
		return nil
	}
	err := upkeep.Swap(ctx, r.cfg.Metadata, r.cfg.Now().UnixMilli(), ref, moves)
	if kind.Is(err, kind.NotFound) {
		return errors.Join(err, r.cfg.Shards.Delete(ctx, ref.Data, fresh))
	}
	return err
}
