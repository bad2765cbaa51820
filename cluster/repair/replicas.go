package repair

import (
	"context"
	"time"

	"holdfast/cluster/placement"
	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/meta/replica"
)

// Groups are the metadata groups as those who run them see them.
type Groups interface {
	// Leads reports whether a group is led here.
	Leads(group uint32) bool
	// Missing and Status say what is known of the groups led here.
	Missing(ctx context.Context) []replica.MissingReplica
	Status(ctx context.Context) replica.Status
	MoveReplica(ctx context.Context, group uint32, from, to id.Drive) error
}

// moveTimeout bounds one move of a replica; interrupted, it is taken up again at the next look.
const moveTimeout = 2 * time.Minute

// missingReplica is a replica that was missing at one look after the other.
type missingReplica struct {
	raftID uint64
	group  uint32
}

func (r *Repairer) replicaLoop(ctx context.Context) {
	since := map[missingReplica]time.Time{} // when it was first found missing
	for wait(ctx, r.cfg.Interval, nil) {
		r.lookAtReplicas(ctx, since)
	}
}

// lookAtReplicas gives missing replicas of the groups led here a drive. One at a time: a group's
// members change one at a time anyway, and each new replica is a snapshot on its way.
func (r *Repairer) lookAtReplicas(ctx context.Context, since map[missingReplica]time.Time) {
	missing := r.cfg.Groups.Missing(ctx)
	seen := map[missingReplica]bool{}
	for _, m := range missing {
		seen[missingReplica{m.RaftID, m.Group}] = true
	}
	for key := range since {
		if !seen[key] {
			delete(since, key)
		}
	}
	var lost map[missingReplica]bool
	for _, m := range missing {
		key := missingReplica{m.RaftID, m.Group}
		if _, known := since[key]; !known {
			since[key] = r.cfg.Now()
		}
		if lost == nil {
			lost = lostReplicas(r.cfg.Groups.Status(ctx))
		}
		if r.stays(m.Drive, since[key], lost[key]) {
			continue
		}
		if err := r.moveReplica(ctx, m); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("a metadata replica could not be moved yet; it is tried again", "group", m.Group, "drive", m.Drive, "error", err)
		}
	}
}

// lostReplicas are those of which their drive itself says that they are lost.
func lostReplicas(s replica.Status) map[missingReplica]bool {
	lost := map[missingReplica]bool{}
	for _, g := range s.Groups {
		for _, m := range g.Members {
			if m.Lost {
				lost[missingReplica{m.RaftID, g.Group}] = true
			}
		}
	}
	return lost
}

// stays reports whether a drive that is just not there may still come back with its replica.
func (r *Repairer) stays(d id.Drive, since time.Time, lost bool) bool {
	waited := r.cfg.Now().Sub(since)
	f := r.fleet()
	if f == nil {
		if _, here := r.cfg.Drives.Drive(d); here {
			return false // out, or it lost the replica: it will not come back by itself
		}
		return !r.isLost(d) && waited < r.cfg.RepairAfter
	}
	v := f.Drive(d)
	switch {
	case f.Fate(d) == upkeep.Lost, lost:
		return false
	case v != nil && v.Local, v != nil && v.Status.Out && nodeAlive(f, v.Node):
		return false // an error took it out, or it lost the replica
	case f.Alive(d): // busy, or its messages do not come through: rebuilding would not help
		return waited < r.repairAfter()
	}
	return r.awayFor(d) < r.repairAfter()
}

func nodeAlive(f *upkeep.Fleet, n id.Node) bool {
	for i := range f.View.Nodes {
		if f.View.Nodes[i].ID == n {
			return f.View.Nodes[i].Alive
		}
	}
	return false
}

// moveReplica gives a missing replica a drive: its own where that is well, else one that has none of
// the group.
func (r *Repairer) moveReplica(ctx context.Context, m replica.MissingReplica) error {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	to := m.Drive
	if f := r.fleet(); !r.reachable(to) || f != nil && (f.Fate(to) != upkeep.Stays || !f.Alive(to)) {
		var ok bool
		if to, ok = r.replicaTarget(ctx, m); !ok {
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

// replicaTarget is the drive for a replica that is not a member yet: where another leader has begun to
// make one, or where placement would have one, so that it need not move again.
func (r *Repairer) replicaTarget(ctx context.Context, m replica.MissingReplica) (id.Drive, bool) {
	status := r.cfg.Groups.Status(ctx)
	members := upkeep.MembersOf(status.Groups)[m.Group]
	learner, begun := begunOn(status.Groups, m.Group)
	if f := r.fleet(); f != nil {
		takes := r.takesReplica(f)
		if begun && takes(learner) {
			return learner, true
		}
		return upkeep.ReplicaTarget(f.Candidates(takes), m.Group, members, m.Drive)
	}
	if begun && r.reachable(learner) {
		return learner, true
	}
	var here []placement.Candidate
	for _, d := range status.Drives {
		here = append(here, placement.Candidate{ID: d.Drive, Healthy: d.Out == "" && r.reachable(d.Drive)})
	}
	return upkeep.ReplicaTarget(here, m.Group, members, m.Drive)
}

// begunOn is the drive of a group's learner.
func begunOn(groups []replica.GroupStatus, group uint32) (id.Drive, bool) {
	for i := range groups {
		if groups[i].Group == group {
			return upkeep.Learner(&groups[i])
		}
	}
	return id.Drive{}, false
}

func (r *Repairer) takesReplica(f *upkeep.Fleet) func(id.Drive) bool {
	return func(d id.Drive) bool { return f.Takes(d) && r.reachable(d) }
}
