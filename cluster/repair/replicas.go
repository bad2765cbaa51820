package repair

import (
	"context"
	"slices"
	"time"

	"holdfast/internal/id"
	"holdfast/meta/replica"
)

// Groups are the metadata groups as those who run them see them.
type Groups interface {
	Missing(ctx context.Context) []replica.MissingReplica
	Status(ctx context.Context) replica.Status
	MoveReplica(ctx context.Context, group uint32, from, to id.Drive) error
}

// moveTimeout bounds one move of a replica; interrupted, it is taken up again at the next look.
const moveTimeout = 2 * time.Minute

func (r *Repairer) replicaLoop(ctx context.Context) {
	since := map[id.Drive]time.Time{} // when a drive was first found absent
	for wait(ctx, r.cfg.Interval, nil) {
		missing := r.cfg.Groups.Missing(ctx)
		if len(missing) == 0 {
			clear(since)
			continue
		}
		for _, m := range missing {
			if _, known := since[m.Drive]; !known {
				since[m.Drive] = r.cfg.Now()
			}
			if r.stays(m.Drive, since[m.Drive]) {
				continue
			}
			if err := r.moveReplica(ctx, m); err != nil && ctx.Err() == nil {
				r.cfg.Logger.Warn("a metadata replica could not be moved yet; it is tried again", "group", m.Group, "drive", m.Drive, "error", err)
			}
		}
	}
}

// hasReplicas reports whether a group still counts on its replica on a lost drive.
func (r *Repairer) hasReplicas(ctx context.Context, d id.Drive) bool {
	if r.cfg.Groups == nil {
		return false
	}
	return slices.ContainsFunc(r.cfg.Groups.Missing(ctx), func(m replica.MissingReplica) bool { return m.Drive == d })
}

// stays reports whether a drive that is just not there may still come back with its replicas.
func (r *Repairer) stays(d id.Drive, since time.Time) bool {
	if _, here := r.cfg.Drives.Drive(d); here {
		return false // out, or it lost the replica: it will not come back by itself
	}
	r.mu.Lock()
	_, gone := r.lost[d]
	r.mu.Unlock()
	return !gone && r.cfg.Now().Sub(since) < r.cfg.RepairAfter
}

// moveReplica gives a missing replica a drive: its own where that is well, else the one with the
// fewest replicas among those that have none of the group.
func (r *Repairer) moveReplica(ctx context.Context, m replica.MissingReplica) error {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	to := m.Drive
	if !r.healthy(to) {
		var ok bool
		if to, ok = r.replicaTarget(ctx, m.Group); !ok {
			return nil // every healthy drive has one; a new drive will take it
		}
	}
	begin := r.cfg.Now()
	if err := r.cfg.Groups.MoveReplica(ctx, m.Group, m.Drive, to); err != nil {
		return err
	}
	r.cfg.Logger.Info("a metadata replica was rebuilt", "group", m.Group, "from", m.Drive, "to", to, "why", m.Why, "took", r.cfg.Now().Sub(begin).Round(time.Millisecond).String())
	return nil
}

func (r *Repairer) replicaTarget(ctx context.Context, group uint32) (best id.Drive, ok bool) {
	status := r.cfg.Groups.Status(ctx)
	has := map[id.Drive]bool{}
	for _, g := range status.Groups {
		if g.Group != group {
			continue
		}
		for _, m := range g.Members {
			has[m.Drive] = true
		}
	}
	fewest := 0
	for _, d := range status.Drives {
		if has[d.Drive] || d.Out != "" || !r.healthy(d.Drive) || (ok && d.Replicas >= fewest) {
			continue
		}
		best, fewest, ok = d.Drive, d.Replicas, true
	}
	return best, ok
}
