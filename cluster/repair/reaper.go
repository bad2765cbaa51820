package repair

import (
	"context"

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

// reap deletes the shards of a group's garbage that is old enough and takes it off the list. It
// returns how many data IDs are left. A drive that is not reachable does not hold it up: when it
// comes back the sweep finds what it still has.
func (r *Repairer) reap(ctx context.Context, group uint32) (int64, error) {
	limit := r.cfg.Now().Add(-r.cfg.ReclaimAfter).UnixMilli()
	var done [][]byte
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
		done = append(done, d.DataId)
		return nil
	})
	if len(done) == 0 {
		return n, err
	}
	cmd := r.command()
	cmd.Op = &metapb.Command_AckGarbage{AckGarbage: &metapb.AckGarbage{DataIds: done}}
	if _, ackErr := r.cfg.Metadata.Apply(ctx, group, cmd); ackErr != nil {
		return n, ackErr
	}
	r.count(func(s *Stats) { s.Reclaimed += int64(len(done)) })
	return n - int64(len(done)), err
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
