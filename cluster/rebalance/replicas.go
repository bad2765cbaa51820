package rebalance

import (
	"context"
	"slices"
	"time"

	"holdfast/cluster/placement"
	"holdfast/cluster/upkeep"
	"holdfast/internal/id"
	"holdfast/internal/kind"
	"holdfast/meta/replica"
)

// moveReplicaTimeout bounds one move of a replica: a snapshot of millions of records. Interrupted, it
// goes on where it stood at the next look.
const moveReplicaTimeout = 10 * time.Minute

func (b *Rebalancer) replicaLoop(ctx context.Context) {
	var next time.Time
	steady := steady{}
	led := map[uint32]bool{}
	for pause(ctx, b.cfg.Poll) == nil {
		if b.gained(led) { // by a leader that should not move its own replica
			next = time.Time{}
		}
		_, ok := steady.look(b)
		if !ok || b.paused() || !steady.changed && b.cfg.Now().Before(next) {
			continue
		}
		steady.changed = false
		left := b.levelReplicas(ctx)
		next = b.cfg.Now().Add(b.cfg.Interval)
		if left {
			next = b.cfg.Now().Add(b.cfg.DrainInterval)
		}
	}
}

// gained brings led up to date with the groups that are led here, and reports whether one came to it.
func (b *Rebalancer) gained(led map[uint32]bool) (gained bool) {
	for g := range b.cfg.Metadata.Groups() + 1 {
		leads := b.leads(g)
		gained = gained || leads && !led[g]
		led[g] = leads
	}
	return gained
}

// levelReplicas moves at most one replica of each group led here, and reports whether there is more to do.
func (b *Rebalancer) levelReplicas(ctx context.Context) (left bool) {
	f := b.eye.Fleet()
	members := b.members(ctx)
	counts := map[id.Drive]int{}
	for _, drives := range members {
		for _, d := range drives {
			counts[d]++
		}
	}
	all := len(members) == int(b.cfg.Metadata.Groups())+1 // else the counts say nothing
	groups := b.cfg.Groups.Status(ctx).Groups
	groups = slices.DeleteFunc(groups, func(g replica.GroupStatus) bool { return !b.leads(g.Group) || len(g.Members) == 0 })
	b.countLeaving(f, groups)
	takes := b.takes(f)
	for _, g := range groups {
		if ctx.Err() != nil || b.paused() {
			return true
		}
		if !whole(g) {
			left = true
			continue
		}
		from, to := moveOf(f, g, counts, all, takes)
		if from.IsZero() {
			continue
		}
		left = true // after a move the group is looked at again
		if to.IsZero() || !b.leads(g.Group) || b.moveReplica(ctx, g.Group, from, to) != nil {
			continue
		}
		counts[from]--
		counts[to]++
	}
	return left
}

// countLeaving takes in how many replicas are on drives that are to be emptied.
func (b *Rebalancer) countLeaving(f *upkeep.Fleet, groups []replica.GroupStatus) {
	leaving := map[id.Drive]int64{}
	for _, g := range groups {
		for _, m := range g.Members {
			if f.Fate(m.Drive) == upkeep.Leaves {
				leaving[m.Drive]++
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicasLeft = leaving
}

func (b *Rebalancer) moveReplica(ctx context.Context, group uint32, from, to id.Drive) error {
	moving, cancel := context.WithTimeout(ctx, moveReplicaTimeout)
	defer cancel()
	begin := b.cfg.Now()
	if err := b.cfg.Groups.MoveReplica(moving, group, from, to); err != nil {
		if ctx.Err() == nil && !kind.Is(err, kind.NotLeader) { // else the new leader does it
			b.cfg.Logger.Warn("a metadata replica could not be moved yet; it is tried again", "group", group, "from", from, "to", to, "error", err)
		}
		return err
	}
	b.mu.Lock()
	b.progress.MovedReplicas++
	if b.replicasLeft[from]--; b.replicasLeft[from] <= 0 {
		delete(b.replicasLeft, from)
	}
	b.mu.Unlock()
	b.cfg.Logger.Info("a metadata replica was moved", "group", group, "from", from, "to", to, "took", b.cfg.Now().Sub(begin).Round(time.Millisecond).String())
	return nil
}

// whole reports whether all members of a group vote and are well: only then may one be taken out.
func whole(g replica.GroupStatus) bool {
	return !slices.ContainsFunc(g.Members, func(m replica.MemberStatus) bool { return !m.Voter || !m.Active || m.Lost })
}

// moveOf chooses the replica of a group that should move next, and where to. from is zero if none
// should, to is zero if there is no drive for it now.
func moveOf(f *upkeep.Fleet, g replica.GroupStatus, counts map[id.Drive]int, all bool, takes func(id.Drive) bool) (from, to id.Drive) {
	members := make([]id.Drive, len(g.Members))
	for i, m := range g.Members {
		members[i] = m.Drive
	}
	stay := f.Candidates(func(d id.Drive) bool { return f.Fate(d) == upkeep.Stays })
	for _, d := range members {
		if f.Fate(d) == upkeep.Leaves {
			to, ok := upkeep.ReplicaTarget(only(stay, takes), g.Group, members, d)
			if !ok {
				to = id.Drive{}
			}
			return d, to
		}
	}
	wanted := placement.Replicas(stay, g.Group, len(members))
	dist := distances(stay)
	before := dist(members)
	type choice struct{ spread, gain int }
	best := choice{spread: before}
	for _, x := range members {
		if slices.Contains(wanted, x) || f.Fate(x) != upkeep.Stays {
			continue
		}
		for _, y := range wanted {
			if slices.Contains(members, y) || !takes(y) {
				continue
			}
			after := slices.Clone(members)
			after[slices.Index(after, x)] = y
			c := choice{dist(after), counts[x] - counts[y]}
			if c.spread > before || c.spread == before && (c.gain < 2 || !all) {
				continue
			}
			if from.IsZero() || c.spread < best.spread || c.spread == best.spread && c.gain > best.gain {
				from, to, best = x, y, c
			}
		}
	}
	return from, to
}

// only makes those candidates healthy of which fit holds.
func only(candidates []placement.Candidate, fit func(id.Drive) bool) []placement.Candidate {
	out := slices.Clone(candidates)
	for i := range out {
		out[i].Healthy = out[i].Healthy && fit(out[i].ID)
	}
	return out
}

// distances makes a measure of how crowded zones and nodes are by some drives: less is better, and zones
// go before nodes.
func distances(candidates []placement.Candidate) func([]id.Drive) int {
	at := make(map[id.Drive]*placement.Candidate, len(candidates))
	for i := range candidates {
		at[candidates[i].ID] = &candidates[i]
	}
	return func(drives []id.Drive) (sum int) {
		zones, nodes := map[string]int{}, map[id.Node]int{}
		for _, d := range drives {
			if c := at[d]; c != nil {
				zones[c.Zone]++
				nodes[c.Node]++
			}
		}
		for _, n := range zones {
			sum += n * n << 16
		}
		for _, n := range nodes {
			sum += n * n
		}
		return sum
	}
}
