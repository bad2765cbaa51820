package repair

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"holdfast/erasure/fanout"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/proto/metapb"
)

func (r *Repairer) workLoop(ctx context.Context) {
	for {
		r.look(ctx)
		if !wait(ctx, r.cfg.Interval, r.kick) {
			return
		}
	}
}

// look serves reports, lost drives and all queues once.
func (r *Repairer) look(ctx context.Context) {
	r.queueReports(ctx)
	clean := r.queueLost(ctx)
	var total int64
	for g := uint32(1); g <= r.cfg.Metadata.Groups(); g++ {
		n, err := r.work(ctx, g)
		if err != nil {
			clean = false
			r.cfg.Logger.Debug("the repair queue of a group waits", "group", g, "error", err)
		}
		total += n
	}
	r.count(func(s *Stats) {
		s.Queued = total
		if clean {
			s.Looks++
		}
	})
}

// queueReports puts the damage that readers reported on the groups' queues, where a crash does
// not lose it.
func (r *Repairer) queueReports(ctx context.Context) {
	r.mu.Lock()
	reports := r.reported
	r.reported = map[id.Data]struct{}{}
	r.mu.Unlock()
	for d := range reports {
		if err := r.enqueue(ctx, d.Group(), [][]byte{d[:]}); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("a damage report could not be queued; the scrub will find it", "data", d, "error", err)
		}
	}
}

func (r *Repairer) enqueue(ctx context.Context, group uint32, ids [][]byte) error {
	if len(ids) == 0 || group == 0 || group > r.cfg.Metadata.Groups() {
		return nil
	}
	cmd := r.command()
	cmd.Op = &metapb.Command_QueueRepair{QueueRepair: &metapb.QueueRepair{DataIds: ids}}
	_, err := r.cfg.Metadata.Apply(ctx, group, cmd)
	return err
}

// queueLost queues the data of lost drives, and retires those that no record names. A drive is
// looked for again only when the queues are empty: until then the answer is known.
func (r *Repairer) queueLost(ctx context.Context) (clean bool) {
	r.mu.Lock()
	lost := slices.Collect(maps.Keys(r.lost))
	waiting := r.stats.Queued > 0
	r.mu.Unlock()
	if waiting {
		return true
	}
	clean = true
	for _, d := range lost {
		total, err := r.queueDrive(ctx, d)
		if err == nil && total == 0 {
			if r.hasReplicas(ctx, d) {
				continue
			}
			err = r.cfg.Retire(ctx, d)
		}
		switch {
		case err != nil:
			clean = false
			r.cfg.Logger.Debug("looking for the shards of a lost drive failed and is tried again", "drive", d, "error", err)
		case total == 0:
			r.cfg.Logger.Info("no record names the lost drive any more", "drive", d)
			r.mu.Lock()
			delete(r.lost, d)
			r.mu.Unlock()
		default:
			r.cfg.Logger.Info("the shards of a lost drive are queued for repair", "drive", d, "data_ids", total)
		}
	}
	return clean
}

// queueDrive puts all data that has a shard on a drive on the repair queues and counts it.
func (r *Repairer) queueDrive(ctx context.Context, d id.Drive) (total int, err error) {
	for g := uint32(1); g <= r.cfg.Metadata.Groups(); g++ {
		var ids [][]byte
		_, err := r.each(ctx, g, func(after []byte) *metapb.Query {
			return &metapb.Query{Op: &metapb.Query_ScanData{ScanData: &metapb.ScanData{After: after, Limit: pageSize, OnDrive: d[:]}}}
		}, func(rec *metapb.DataRecord) error {
			ids = append(ids, rec.DataId)
			if len(ids) < pageSize {
				return nil
			}
			err := r.enqueue(ctx, g, ids)
			total, ids = total+len(ids), nil
			return err
		})
		if err == nil {
			err = r.enqueue(ctx, g, ids)
			total += len(ids)
		}
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// work repairs what is on a group's queue and returns how much is left.
func (r *Repairer) work(ctx context.Context, group uint32) (int64, error) {
	done := acks{flush: func(ids [][]byte) error {
		cmd := r.command()
		cmd.Op = &metapb.Command_AckRepair{AckRepair: &metapb.AckRepair{DataIds: ids}}
		_, err := r.cfg.Metadata.Apply(ctx, group, cmd)
		return err
	}}
	n, err := r.each(ctx, group, func(after []byte) *metapb.Query {
		return &metapb.Query{Op: &metapb.Query_ScanRepair{ScanRepair: &metapb.ScanRepair{After: after, Limit: pageSize}}}
	}, func(d *metapb.DataRecord) error {
		switch whole, err := r.repair(ctx, group, d); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			r.count(func(s *Stats) { s.Failed++ })
			r.cfg.Logger.Warn("a repair failed and waits for the next look", "data", fmt.Sprintf("%x", d.DataId), "error", err)
		case whole:
			return done.add(d.DataId)
		}
		return nil
	})
	err = errors.Join(err, done.close())
	return n - int64(done.total), err
}

func refOf(d *metapb.DataRecord) (fanout.Ref, error) {
	data, err := id.FromBytes[id.Data](d.DataId)
	if err != nil {
		return fanout.Ref{}, kind.Wrap(kind.Damaged, err, "a data record")
	}
	return fanout.NewRef(data, d.Placement)
}

// repair looks at all shards of a data ID and rebuilds what is bad. whole is false when a shard
// has no drive to go to yet.
func (r *Repairer) repair(ctx context.Context, group uint32, d *metapb.DataRecord) (whole bool, err error) {
	if d.Placement == nil || d.Placement.Layout == nil {
		return true, nil // deleted since
	}
	ref, err := refOf(d)
	if err != nil {
		return false, err
	}
	lost := func(d id.Drive) bool { return !r.healthy(d) }
	bad, err := r.cfg.Shards.Check(ctx, ref, fanout.Looking{Deep: true, Lost: lost})
	if err != nil {
		return false, err
	}
	if len(bad) == 0 {
		return true, nil
	}
	missing, to := r.destinations(ref, bad)
	if len(missing) == 0 {
		return false, nil
	}
	if err := r.cfg.Shards.Rebuild(ctx, ref, missing, to); err != nil {
		return false, err
	}
	if err := r.swap(ctx, group, ref, missing, to); err != nil {
		return false, err
	}
	r.count(func(s *Stats) { s.Rebuilt += int64(len(missing)) })
	return len(missing) == len(bad), nil
}

// destinations chooses a drive for each bad shard: its own where that is healthy, else one
// that holds no shard of the data ID yet.
func (r *Repairer) destinations(ref fanout.Ref, bad []int) (missing []int, to []id.Drive) {
	used := map[id.Drive]bool{}
	for _, d := range ref.Drives {
		used[d] = true
	}
	chosen, spares := r.cfg.Placer.Place(ref.Data, len(ref.Drives))
	free := append(chosen, spares...)
	for _, i := range bad {
		if r.healthy(ref.Drives[i]) {
			missing, to = append(missing, i), append(to, ref.Drives[i])
			continue
		}
		for len(free) > 0 && (free[0].IsZero() || used[free[0]] || !r.healthy(free[0])) {
			free = free[1:]
		}
		if len(free) == 0 {
			continue
		}
		missing, to = append(missing, i), append(to, free[0])
		used[free[0]] = true
	}
	return missing, to
}

// swap puts rebuilt shards into the data record. If the record is gone meanwhile, or names other
// drives, the new shards are orphans and are removed.
func (r *Repairer) swap(ctx context.Context, group uint32, ref fanout.Ref, missing []int, to []id.Drive) error {
	var swaps []*metapb.Swap
	for n, i := range missing {
		if to[n] == ref.Drives[i] {
			continue
		}
		s := &metapb.Swap{Index: uint32(i), To: to[n][:]}
		if !ref.Drives[i].IsZero() {
			s.From = ref.Drives[i][:]
		}
		swaps = append(swaps, s)
	}
	if len(swaps) == 0 {
		return nil
	}
	cmd := r.command()
	cmd.Op = &metapb.Command_SwapDrives{SwapDrives: &metapb.SwapDrives{DataId: ref.Data[:], Swaps: swaps}}
	_, err := r.cfg.Metadata.Apply(ctx, group, cmd)
	if k := kind.Of(err); err != nil && (k == kind.Conflict || k == kind.NotFound) {
		fresh := make([]id.Drive, len(ref.Drives))
		for n, i := range missing {
			if to[n] != ref.Drives[i] {
				fresh[i] = to[n]
			}
		}
		return errors.Join(err, r.cfg.Shards.Delete(ctx, ref.Data, fresh))
	}
	return err
}
