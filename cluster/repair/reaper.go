package repair

import (
	"context"
	"errors"
	"time"

	"holdfast/internal/id"
	"holdfast/proto/metapb"
)

func (r *Repairer) reapLoop(ctx context.Context) {
	for wait(ctx, r.cfg.Interval, nil) {
		var total int64
		for g := uint32(1); g <= r.cfg.Metadata.Groups(); g++ {
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
	done := acks{flush: func(ids [][]byte) error {
		cmd := r.command()
		cmd.Op = &metapb.Command_AckGarbage{AckGarbage: &metapb.AckGarbage{DataIds: ids}}
		_, err := r.cfg.Metadata.Apply(ctx, group, cmd)
		r.count(func(s *Stats) { s.Reclaimed += int64(len(ids)) })
		return err
	}}
	n, err := r.each(ctx, group, func(after []byte) *metapb.Query {
		return &metapb.Query{Op: &metapb.Query_ScanGarbage{ScanGarbage: &metapb.ScanGarbage{After: after, Limit: pageSize}}}
	}, func(d *metapb.DataRecord) error {
		if d.SinceMs > limit {
			return nil
		}
		ref, err := refOf(d)
		if err != nil {
			return err
		}
		if err := r.cfg.Shards.Delete(ctx, ref.Data, r.reachable(ref.Drives)); err != nil {
			return err
		}
		return done.add(d.DataId)
	})
	if err == nil && done.total+len(done.ids) == 0 && r.cfg.Now().Sub(r.nudged[group]) >= nudgeInterval {
		r.nudged[group] = r.cfg.Now()
		return n, done.flush(nil)
	}
	return n - int64(done.total+len(done.ids)), errors.Join(err, done.close())
}

// acks gathers data IDs for commands of bounded size.
type acks struct {
	flush func(ids [][]byte) error
	ids   [][]byte
	total int // sent
}

func (a *acks) add(data []byte) error {
	a.ids = append(a.ids, data)
	if len(a.ids) < pageSize {
		return nil
	}
	return a.close()
}

func (a *acks) close() error {
	if len(a.ids) == 0 {
		return nil
	}
	ids := a.ids
	a.ids, a.total = nil, a.total+len(ids)
	return a.flush(ids)
}

// reachable blanks the drives that cannot be reached.
func (r *Repairer) reachable(drives []id.Drive) []id.Drive {
	out := make([]id.Drive, len(drives))
	for i, d := range drives {
		if r.healthy(d) {
			out[i] = d
		}
	}
	return out
}

func (r *Repairer) healthy(d id.Drive) bool {
	drive, ok := r.cfg.Drives.Drive(d)
	return ok && !drive.Status().Out
}
