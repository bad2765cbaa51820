package repair

import (
	"context"
	"sync"
	"time"

	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/node"
	"holdfast/proto/metapb"
)

func (r *Repairer) reapLoop(ctx context.Context) {
	for wait(ctx, r.cfg.Interval, nil) {
		var total int64
		for _, g := range r.led() {
			n, err := r.reap(ctx, g)
			if err != nil && ctx.Err() == nil {
				r.cfg.Logger.Debug("the garbage of a group waits", "group", g, "error", err)
			}
			total += n
		}
		r.count(func(s *Stats) { s.Garbage = total })
	}
}

// nudgeInterval is how often a group is told to go on dropping references although there is nothing
// to acknowledge: a backlog that one large command left must not wait for traffic.
const nudgeInterval = 10 * time.Minute

// reap deletes the shards of a group's garbage that is old enough and takes it off the list. It
// returns how many data IDs are left. A drive that is not reachable does not hold it up: when it
// comes back the sweep finds what it still has.
func (r *Repairer) reap(ctx context.Context, group uint32) (left int64, err error) {
	limit := r.cfg.Now().Add(-r.cfg.ReclaimAfter).UnixMilli()
	reaped := 0
	err = upkeep.EachPage(ctx, r.cfg.Metadata, group, upkeep.ScanGarbage, func(page []*metapb.DataRecord) error {
		left += int64(len(page))
		ids, err := r.deletePage(ctx, page, limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := r.ackGarbage(ctx, group, ids); err != nil {
			return err
		}
		reaped += len(ids)
		left -= int64(len(ids))
		return nil
	})
	if err == nil && reaped == 0 && r.cfg.Now().Sub(r.nudged[group]) >= nudgeInterval {
		r.nudged[group] = r.cfg.Now()
		err = r.ackGarbage(ctx, group, nil)
	}
	return left, err
}

// deletePage deletes the shards of all data of a page that became garbage before limit, each drive's
// in one call, and returns the data IDs.
func (r *Repairer) deletePage(ctx context.Context, page []*metapb.DataRecord, limit int64) (ids [][]byte, err error) {
	byDrive := map[id.Drive][]node.Shard{}
	for _, d := range page {
		if d.SinceMs > limit {
			continue
		}
		ref, err := upkeep.RefOf(d)
		if err != nil {
			return nil, err
		}
		for i, drive := range ref.Drives {
			if !drive.IsZero() && r.reachable(drive) {
				byDrive[drive] = append(byDrive[drive], node.Shard{Data: ref.Data, Index: uint8(i)})
			}
		}
		ids = append(ids, d.DataId)
	}
	return ids, upkeep.DeleteShards(ctx, r.cfg.Drives, byDrive)
}

func (r *Repairer) ackGarbage(ctx context.Context, group uint32, ids [][]byte) error {
	cmd := r.command()
	cmd.Op = &metapb.Command_AckGarbage{AckGarbage: &metapb.AckGarbage{DataIds: ids}}
	_, err := r.cfg.Metadata.Apply(ctx, group, cmd)
	if err == nil {
		r.count(func(s *Stats) { s.Reclaimed += int64(len(ids)) })
	}
	return err
}

// acks gathers data IDs for commands of bounded size. Safe for concurrent use.
type acks struct {
	flush func(ids [][]byte) error

	mu    sync.Mutex
	ids   [][]byte
	total int // sent
}

func (a *acks) add(data []byte) error {
	a.mu.Lock()
	a.ids = append(a.ids, data)
	full := len(a.ids) >= pageSize
	a.mu.Unlock()
	if !full {
		return nil
	}
	return a.close()
}

func (a *acks) close() error {
	a.mu.Lock()
	ids := a.ids
	a.ids = nil
	a.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	err := a.flush(ids)
	if err == nil {
		a.mu.Lock()
		a.total += len(ids)
		a.mu.Unlock()
	}
	return err
}
